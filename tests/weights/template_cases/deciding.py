"""Templates as models have them and as they could be meant: what decides by a text, and what hides that it does."""

# Templates are kept in the lines they have.
# ruff: noqa: E501
from __future__ import annotations

_TURNS = "{%- for m in messages %}{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{%- endfor %}"
_ASK = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"

# Served by plans: what they ask of a text is followed.
FOLLOWED = {
    "dated": "{{- 'Today: ' + strftime_now('%d %b %Y') + '\\n' }}" + _TURNS + _ASK,
    "year decides": "{%- if strftime_now('%Y') > '2000' %}{{- 'new\\n' }}{%- endif %}" + _TURNS + _ASK,
    "joined by ~": "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ '<|im_end|>' ~ '\n' }}{% endfor %}"
    + _ASK,
    "joined, then asked": "{%- for m in messages %}{%- set t = m.role ~ '\\n' ~ m.content %}"
    "{{- '<|im_start|>' + t + ('!' if 'x' in t else '') + '<|im_end|>\\n' }}{%- endfor %}" + _ASK,
    "deepseek": "{%- for m in messages %}{%- if m.role == 'assistant' %}{%- set c = m.content %}"
    "{%- if '</think>' in c %}{%- set c = c.split('</think>')[-1] %}{%- endif %}"
    "{{- '<|im_start|>assistant\\n' + c + '<|im_end|>' }}{%- else %}"
    "{{- '<|im_start|>' + m.role + '\\n' + m.content }}{%- endif %}{%- endfor %}" + _ASK,
    "smollm": "{%- set sys = messages[0].content if messages[0].role == 'system' else '' %}"
    "{%- if '/no_think' in sys %}{%- set mode = 'off' %}{%- else %}{%- set mode = 'on' %}{%- endif %}"
    "{{- '<|im_start|>system\\n' + sys.replace('/no_think', '').rstrip() + ' ' + mode + '<|im_end|>\\n' }}"
    "{%- for m in messages %}{%- if m.role != 'system' %}"
    "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' + ('<think>\\n\\n' if mode == 'off' else '') }}{%- endif %}",
    "prompt decides": _TURNS + "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if messages[-1].content.endswith('!') %}{{- 'A: ' }}{%- endif %}{%- endif %}",
    "macro": "{%- macro turn(role, text) %}{{- '<|im_start|>' + role + '\\n' + text | trim + '<|im_end|>\\n' }}"
    "{%- if text | length > 3 %}{{- '<|im_start|>' }}{%- endif %}{%- endmacro %}"
    "{%- for m in messages %}{{- turn(m.role, m.content) }}{%- endfor %}" + _ASK,
    "generation": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- if m.role == 'assistant' %}"
    "{%- generation %}{{- m.content + '<|im_end|>' }}{%- endgeneration %}{%- else %}{{- m.content + '<|im_end|>' }}"
    "{%- endif %}{{- '\\n' }}{%- endfor %}" + _ASK,
    "namespace": "{%- set ns = namespace(last='') %}{%- for m in messages %}{%- if m.content == ns.last %}{{- 'again ' }}"
    "{%- endif %}{%- set ns.last = m.content %}{{- '<|im_start|>' + m.role + '\\n' + ns.last + '<|im_end|>\\n' }}"
    "{%- endfor %}" + _ASK,
    "as json": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + ({'say': m.content} | tojson) + '<|im_end|>\\n' }}"
    "{%- endfor %}" + _ASK,
    "block set": "{%- for m in messages %}{%- set t %}{{- m.content | upper }}{%- endset %}"
    "{{- '<|im_start|>' + m.role + '\\n' + t[:5] + t[5:] + ('.' if t[:1] == 'X' else '') + '<|im_end|>\\n' }}{%- endfor %}"
    + _ASK,
    "reversed in": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{%- if m.content in 'yes no ok' %}{{- '!' }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}" + _ASK,
    "listed": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{%- if m.content in ['yes', 'no', 'ok'] %}{{- '!' }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    + _ASK,
    "selected": "{%- set said = messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list %}"
    "{{- (said[0] if said else '') + '\\n' }}" + _TURNS + _ASK,
}

# Left to the template itself: a text is used where nothing can follow it.
LEFT = {
    "letters": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}{%- for c in m.content %}{{- c }}{%- endfor %}"
    "{{- '<|im_end|>\\n' }}{%- endfor %}" + _ASK,
    "starts a literal": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content }}"
    "{%- if 'yes and no'.startswith(m.content) %}{{- '!' }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    + _ASK,
    "per cent": "{%- for m in messages %}{{- '<|im_start|>%s\\n%s<|im_end|>\\n' % (m.role, m.content) }}{%- endfor %}"
    + _ASK,
    "format": "{%- for m in messages %}{{- '<|im_start|>{}\\n{}<|im_end|>\\n'.format(m.role, m.content) }}{%- endfor %}"
    + _ASK,
    "key of a table": "{%- set names = {'yes': 'YES'} %}{%- for m in messages %}"
    "{{- '<|im_start|>' + m.role + '\\n' + names.get(m.content, m.content) + '<|im_end|>\\n' }}{%- endfor %}"
    + _ASK,
    "words counted": "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + (m.content | wordcount | string) "
    "+ '<|im_end|>\\n' }}{%- endfor %}" + _ASK,
    "joined list": "{%- for m in messages %}{{- '<|im_start|>' + ([m.role, m.content] | join('\\n')) + '<|im_end|>\\n' }}{%- endfor %}"
    + _ASK,
}
