/** What the KMS fake can do wrong, on order. The errors' names, statuses and texts are AWS KMS's own. */
import type { KmsAction } from "./kms-keys";

export type Fault =
  /** An error of AWS KMS in JSON 1.1. */
  | {
      readonly kind: "error";
      readonly type: string;
      readonly message: string;
      readonly status: number;
      readonly headers?: Headers;
    }
  /** Any bytes as the answer. */
  | { readonly kind: "answer"; readonly status: number; readonly contentType: string; readonly body: string }
  /** The connection is reset before an answer. */
  | { readonly kind: "reset" }
  /** No answer ever comes. */
  | { readonly kind: "hang" }
  /** The head of an answer comes, and its body never ends. */
  | { readonly kind: "hang-in-body" }
  /** The answer is right, and late. */
  | { readonly kind: "slow"; readonly milliseconds: number };

type Headers = Readonly<Record<string, string>>;

export interface OrderedFault {
  readonly fault: Fault;
  /** Undefined: any action. */
  readonly action?: KmsAction;
  /** How many requests it hits; default 1. */
  readonly times?: number;
}

export function awsError(type: string, message: string, status = 400, headers?: Headers): Fault {
  return { kind: "error", type, message, status, ...(headers === undefined ? {} : { headers }) };
}

export const throttling = (headers?: Headers): Fault =>
  awsError("ThrottlingException", "You have exceeded the rate at which you may call KMS.", 400, headers);

export const internalError: Fault = awsError("KMSInternalException", "An internal error occurred.", 500);

export const incorrectKey: Fault = awsError(
  "IncorrectKeyException",
  "The key ID in the request does not identify a CMK that can perform this operation.",
);

export const gatewayError: Fault = {
  kind: "answer",
  status: 503,
  contentType: "text/html",
  body: "<html><body>503 Service Unavailable</body></html>",
};

/** As from a captive portal or a proxy's log-in page. */
export const htmlPage: Fault = {
  kind: "answer",
  status: 200,
  contentType: "text/html",
  body: "<html><body>log in</body></html>",
};

/** A success with `body`, whatever was asked. */
export function jsonAnswer(body: object): Fault {
  return { kind: "answer", status: 200, contentType: "application/x-amz-json-1.1", body: JSON.stringify(body) };
}

export const emptyAnswer: Fault = jsonAnswer({});

/** The first bytes of an answer to Decrypt: a parser's message could quote them. */
export const cutOff: Fault = {
  kind: "answer",
  status: 200,
  contentType: "application/x-amz-json-1.1",
  body: '{"Plaintext":"YSBzZWNyZXQg',
};
