/** Reads the forms of HTTP/1.1 answer that key services and what stands before them give (RFC 9112): a head and a whole body. */

export interface PostAnswer {
  readonly status: number;
  /** Names in lower case; values of a repeated header are joined as RFC 9110 section 5.3 says. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export type AnswerSoFar =
  | { readonly kind: "incomplete" }
  /** Not what this reads, be it allowed by HTTP or not: nothing of it may be used. */
  | { readonly kind: "other form" }
  | {
      readonly kind: "complete";
      readonly answer: PostAnswer;
      /** Milliseconds that the connection stays open: 0 when it ends here, infinite when the answer doesn't say. */
      readonly openForMs: number;
    };

/** Real heads have some 800 bytes. */
const longestHead = 16 * 1024;
/** Six digits and half of the line end. */
const longestChunkSize = 7;

/** RFC 9112 section 5. Blanks around a value are the two of RFC 9110, so that nothing else is left out with them. */
const headerLine = /^[!#$%&'*+.^_`|~\w-]+:[\t\x20-\x7e]*$/;

const incomplete: AnswerSoFar = { kind: "incomplete" };
const otherForm: AnswerSoFar = { kind: "other form" };

/** `received` is all that has come since the request was sent. `longestBody` in bytes. */
export function readAnswer(received: Buffer, longestBody: number): AnswerSoFar {
  const headEnd = received.indexOf("\r\n\r\n");
  if (headEnd < 0) return received.length > longestHead ? otherForm : incomplete;
  if (headEnd > longestHead) return otherForm;
  const [statusLine = "", ...lines] = received.toString("latin1", 0, headEnd).split("\r\n");
  // 204 and 304 have no body whatever their head says, 1xx is followed by another head.
  const status = Number(/^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/.exec(statusLine)?.[1]);
  if (Number.isNaN(status) || status === 204 || status === 304) return otherForm;
  const headers = readHeaders(lines);
  if (headers === undefined) return otherForm;
  const rest = received.subarray(headEnd + 4);
  const body = readBody(rest, headers, longestBody);
  if (!Buffer.isBuffer(body)) return body;
  return { kind: "complete", answer: { status, headers, body }, openForMs: openForMs(headers) };
}

function openForMs(headers: Readonly<Record<string, string>>): number {
  if (/\bclose\b/i.test(headers["connection"] ?? "")) return 0;
  const seconds = /\btimeout=(\d{1,6})\b/i.exec(headers["keep-alive"] ?? "")?.[1];
  return seconds === undefined ? Number.POSITIVE_INFINITY : Number(seconds) * 1_000;
}

/** RFC 9112 section 6.3: an answer with both headers may be two answers to whoever stands between. */
function readBody(rest: Buffer, headers: Readonly<Record<string, string>>, longest: number): Buffer | AnswerSoFar {
  const coding = headers["transfer-encoding"];
  const length = headers["content-length"];
  if (coding !== undefined) {
    return coding.toLowerCase() === "chunked" && length === undefined ? readChunks(rest, longest) : otherForm;
  }
  if (length === undefined || !/^\d{1,9}$/.test(length) || Number(length) > longest) return otherForm;
  if (rest.length < Number(length)) return incomplete;
  // More is an answer that nobody asked for.
  return rest.length > Number(length) ? otherForm : rest;
}

/** RFC 9112 section 7.1, without extensions and trailers, which nobody sends. */
function readChunks(rest: Buffer, longest: number): Buffer | AnswerSoFar {
  const chunks: Buffer[] = [];
  let total = 0;
  for (let at = 0; ; ) {
    const sizeEnd = rest.indexOf("\r\n", at);
    if (sizeEnd < 0) return rest.length - at > longestChunkSize ? otherForm : incomplete;
    const digits = rest.toString("latin1", at, sizeEnd);
    if (!/^[\da-f]{1,6}$/i.test(digits)) return otherForm;
    const size = Number.parseInt(digits, 16);
    const end = sizeEnd + 2 + size;
    if ((total += size) > longest) return otherForm;
    if (rest.length < end + 2) return incomplete;
    if (rest.toString("latin1", end, end + 2) !== "\r\n") return otherForm;
    if (size === 0) return rest.length === end + 2 ? Buffer.concat(chunks) : otherForm;
    chunks.push(rest.subarray(sizeEnd + 2, end));
    at = end + 2;
  }
}

function readHeaders(lines: readonly string[]): Record<string, string> | undefined {
  // Without a prototype: a header may have any name.
  const headers = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    // Taken apart by hand: what a match finds costs more than the rest of an answer.
    if (!headerLine.test(line)) return undefined;
    const colon = line.indexOf(":");
    const key = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    const before = headers[key];
    headers[key] = before === undefined ? value : `${before}, ${value}`;
  }
  return headers;
}
