import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths };
/** What the service refuses: RFC 9457, with the codes of the error catalogue. */
export type Problem = components["schemas"]["Problem"];

/** A refusal, thrown. `problem.code` is stable; the words are in the caller's language. */
export class MozhuError extends Error {
  constructor(readonly problem: Problem) {
    super(`[${problem.code}] ${problem.title}`);
    this.name = "MozhuError";
  }
}

/** A client of the service at `server`, for example `http://127.0.0.1:8700`. */
export function createMozhuClient(server: string, token: string, language = "zh"): Client<paths> {
  return createClient<paths>({
    baseUrl: server,
    headers: { Authorization: `Bearer ${token}`, "Accept-Language": language },
  });
}

/** The data of an answer; a problem is thrown as a `MozhuError`. */
export function unwrap<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.error !== undefined) {
    throw new MozhuError(answer.error as Problem);
  }
  return answer.data as T;
}
