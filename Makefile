# Mozhu 模铸. Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
# The address of PyTorch's CPU wheels, used only where the default index would bring CUDA to a machine without a GPU.
MOZHU_TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
export MOZHU_TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help install install-dev demo up test test-slow check style bench bench-full corpus starter wheel clean

help:  ## 显示这份说明 · show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

install:  ## 建立环境并安装 · make the environment and install (train, export, data, server)
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras train,export,data,server

install-dev:  ## 再加上测试所需 · and what tests need
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras train,export,data,server,postgres,cloud,dev

demo: install  ## 从数据到模型的主流程（MODEL=… DATA=… 用自己的） · the main job end to end (MODEL=… DATA=… for your own)
	@$(BIN)/mozhu demo $(if $(MODEL),--model "$(MODEL)") $(if $(DATA),--dataset "$(DATA)")

up: install  ## 启动服务 http://127.0.0.1:8700 · start the service
	@$(BIN)/mozhu up

test: install-dev  ## 测试（2 核约数分钟） · the tests
	@$(RUN) tools/services.py
	@$(RUN) -m pytest -m "not slow" -n 2 --dist worksteal -q

test-slow: install-dev  ## 慢测试：安装、wheel、完整流程 · slow tests: installation, wheel, the whole job
	@$(RUN) tools/services.py
	@$(RUN) -m pytest -m slow -n 2 --dist worksteal -q

check: install-dev  ## 格式、类型、导入方向、生成文件 · format, types, import directions, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(RUN) tools/generate.py --check

style: install-dev  ## 整理格式，重写生成的文件 · format, and write generated files anew
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(RUN) tools/generate.py

bench: install-dev  ## 短的基准测试 · the short benchmarks
	@$(RUN) -m benchmarks.run

bench-full: install-dev  ## 全部基准测试，可续 · all benchmarks, resumable
	@$(RUN) -m benchmarks.run --full

corpus: install-dev  ## 种下的错误全部找到了吗（FULL=1 再加 2 GB 的文件） · are all planted faults found (FULL=1: and 2 GB streamed)
	@$(RUN) -m corpus.run $(if $(FULL),--full)

starter: install-dev  ## 重新训练起步模型（约 20 分钟） · train the starter model anew (about 20 minutes)
	@$(RUN) tools/make_starter.py --output src/mozhu/testing/starter

wheel: install-dev  ## 打包 wheel 和 sdist · build wheel and sdist
	@$(RUN) -m build --no-isolation

clean:  ## 删除环境和缓存 · remove environment and caches
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
