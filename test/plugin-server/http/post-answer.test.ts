import assert from "node:assert/strict";
import fc from "fast-check";
import { readAnswer } from "../../../plugin-server/http/post-answer";

const limit = 1_000;

function read(text: string) {
  return readAnswer(Buffer.from(text, "latin1"), limit);
}

function answer(head: string, body: string): string {
  return `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${body}`;
}

describe("an answer to a POST", () => {
  it("is read whole, however it is cut into pieces", () => {
    const body = fc.uint8Array({ maxLength: limit }).map((bytes) => Buffer.from(bytes));
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 });
    fc.assert(
      fc.property(body, fc.boolean(), sizes, fc.integer({ min: 200, max: 599 }), (bytes, isChunked, cuts, status) => {
        fc.pre(status !== 204 && status !== 304);
        const head = `HTTP/1.1 ${status} Some Text\r\nX-Id: one\r\nx-id:  two \r\n`;
        const sent = isChunked
          ? Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunked(bytes, cuts)])
          : Buffer.concat([Buffer.from(`${head}Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
        for (const cut of cuts) {
          if (cut < sent.length) assert.equal(readAnswer(sent.subarray(0, cut), limit).kind, "incomplete");
        }
        assert.equal(readAnswer(sent.subarray(0, -1), limit).kind, "incomplete");
        const seen = readAnswer(sent, limit);
        assert.ok(seen.kind === "complete");
        assert.equal(seen.answer.status, status);
        assert.equal(seen.answer.headers["x-id"], "one, two");
        assert.ok(seen.answer.body.equals(bytes));
        assert.equal(seen.openForMs, Number.POSITIVE_INFINITY);
        assert.equal(readAnswer(Buffer.concat([sent, Buffer.from("H")]), limit).kind, "other form");
      }),
    );
  });

  it("says that the connection ends", () => {
    const seen = read(answer("content-length: 0\r\nConnection: Close", ""));
    assert.ok(seen.kind === "complete");
    assert.equal(seen.openForMs, 0);
  });

  for (const [value, ms] of [
    ["timeout=5", 5_000],
    ["max=7, Timeout=60", 60_000],
    ["300", Number.POSITIVE_INFINITY],
    ["timeout=-1", Number.POSITIVE_INFINITY],
    ["timeout=0", 0],
  ] as const) {
    it(`says how long the connection stays open: ${value}`, () => {
      const seen = read(answer(`content-length: 0\r\nKeep-Alive: ${value}`, ""));
      assert.ok(seen.kind === "complete");
      assert.equal(seen.openForMs, ms);
    });
  }

  const others: Readonly<Record<string, string>> = {
    "of HTTP/1.0": "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "of something else": "SSH-2.0-OpenSSH\r\n\r\n\r\n",
    "announced by 100 Continue": "HTTP/1.1 100 Continue\r\n\r\n",
    "without a body by its status": "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
    "without a length": answer("date: today", "body until the end"),
    "with a length that is none": answer("content-length: +1", "a"),
    "with two lengths": answer("content-length: 1\r\ncontent-length: 2", "ab"),
    "with a length and chunks": answer("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n"),
    "in another coding": answer("transfer-encoding: gzip, chunked", "0\r\n\r\n"),
    "longer than allowed": answer(`content-length: ${limit + 1}`, ""),
    "in chunks longer than allowed": answer("transfer-encoding: chunked", `${(limit + 1).toString(16)}\r\n`),
    "with a chunk of no size": answer("transfer-encoding: chunked", "x\r\n"),
    "with a chunk whose size does not end": answer("transfer-encoding: chunked", "00000000"),
    "with a chunk longer than it says": answer("transfer-encoding: chunked", "1\r\nabc"),
    "with trailers": answer("transfer-encoding: chunked", "0\r\nx: y\r\n\r\n"),
    "with a folded header": answer("a: b\r\n c\r\ncontent-length: 0", ""),
    "with a header without a name": answer(": b\r\ncontent-length: 0", ""),
    "with a blank before the colon": answer("content-length : 0", ""),
    "with a head that does not end": `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(4_000)}`,
    "with too long a head": `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(4_000)}\r\n`,
  };
  for (const [what, text] of Object.entries(others)) {
    it(`${what} is not read`, () => {
      assert.equal(read(text).kind, "other form");
    });
  }

  it("may have headers of any name", () => {
    const seen = read(answer("__proto__: x\r\nconstructor: y\r\ncontent-length: 0", ""));
    assert.ok(seen.kind === "complete");
    assert.equal(seen.answer.headers["__proto__"], "x");
    assert.equal(seen.answer.headers["constructor"], "y");
  });
});

function chunked(bytes: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, index = 0; at < bytes.length; index += 1) {
    const chunk = bytes.subarray(at, at + (sizes[index % sizes.length] ?? 1));
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
    at += chunk.length;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}
