/** Requests and answers of ARM as the model sees them, whatever brought them. */
import { randomUUID } from "node:crypto";
import { ArmError } from "./arm-error";
import type { Caller } from "./caller";
import type { Json } from "./shape";

export interface ArmRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  readonly caller: Caller;
}

export interface ArmAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Json | undefined;
}

export function answerOf(status: number, body?: Json, headers: Readonly<Record<string, string>> = {}): ArmAnswer {
  return {
    status,
    headers: { "x-ms-request-id": randomUUID(), "x-ms-correlation-request-id": randomUUID(), ...headers },
    body,
  };
}

/** The version that the request is for. */
export function apiVersionOf(query: URLSearchParams): string {
  const version = query.get("api-version");
  if (version === null || version === "") {
    throw new ArmError(
      400,
      "MissingApiVersionParameter",
      "The api-version query parameter (?api-version=) is required for all requests.",
    );
  }
  if (!/^\d{4}-\d{2}-\d{2}(-preview)?$/.test(version)) {
    throw new ArmError(
      400,
      "InvalidApiVersionParameter",
      `The api-version '${version}' is invalid. The supported versions are dates, with '-preview' behind them or without.`,
    );
  }
  return version;
}

export function parseJson(request: ArmRequest): Json | undefined {
  if (request.body === "") return undefined;
  if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
    throw new ArmError(
      415,
      "UnsupportedMediaType",
      "The content media type is not supported. Only 'application/json' is.",
    );
  }
  try {
    return JSON.parse(request.body) as Json;
  } catch {
    throw new ArmError(
      400,
      "InvalidRequestContent",
      "The request content was invalid and could not be deserialized: it is not JSON.",
    );
  }
}
