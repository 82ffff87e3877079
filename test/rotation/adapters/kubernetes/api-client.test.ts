import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import { apiClient } from "../../../../rotation/adapters/kubernetes/api-client";
import { describeStatus } from "../../../../rotation/adapters/kubernetes/api-error";
import { type FakeApiServer, failure, fakeApiServer, fakeStore } from "./api-server-fake";

const code = (expected: string, text: RegExp) => (error: KmsEtcdError) => {
  assert.ok(error instanceof KmsEtcdError);
  assert.match(error.message, text);
  return error.code === expected;
};

describe("the client of one API server", function () {
  this.timeout(30_000); // other work may share the machine
  let server: FakeApiServer;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    server = await fakeApiServer(fakeStore(), "cp1", "k");
  });
  afterEach(() => server.close());

  it("any status is an answer, with the server's clock and Retry-After", async () => {
    server.intercept = () => ({
      ...failure(429, "TooManyRequests"),
      headers: { "retry-after": "2", date: "Thu, 01 Jan 2026 00:00:00 GMT" },
    });
    const response = await server.client.send({ method: "GET", path: "/x" });
    assert.deepEqual(
      [response.status, response.retryAfter, response.date],
      [429, 2_000, Date.parse("2026-01-01T00:00:00Z")],
    );
  });

  it("Retry-After of nothing, of a day, of more than a timer can hold => a wait that a run can afford", async () => {
    for (const [header, expected] of [
      ["0", 1_000],
      ["86400", 30_000],
      ["3000000", 30_000],
      ["-5", undefined],
      ["Wed, 21 Oct 2099 07:28:00 GMT", undefined],
    ] as const) {
      server.intercept = () => ({ ...failure(429, "TooManyRequests"), headers: { "retry-after": header } });
      assert.equal((await server.client.send({ method: "GET", path: "/x" })).retryAfter, expected, header);
    }
  });

  it("a get is tried again on 429, on a server error and on a lost connection", async () => {
    const faults = [
      { ...failure(429, "TooManyRequests"), headers: { "retry-after": "0" } },
      failure(500, "InternalError"),
      { status: 0, reset: true },
    ];
    server.intercept = () => faults.shift() ?? { status: 200, body: { fine: true } };
    assert.deepEqual(await server.client.get("/x", "application/json", signal), { fine: true });
    assert.equal(server.requests.length, 4);
  });

  it("a get that is refused => at once, with a code, the server and the path without its query", async () => {
    server.intercept = (_, path) =>
      failure(path.startsWith("/none") ? 404 : 403, "Reason", "user may not list secrets");
    await assert.rejects(
      server.client.get("/apis/x?continue=token", "", signal),
      code("permission-denied", /^cp1: GET \/apis\/x: 403 Reason: user may not list secrets$/),
    );
    await assert.rejects(server.client.get("/none", "", signal), code("not-found", /404/));
    assert.equal(server.requests.length, 2);
  });

  it("no server => unreachable; no answer in time => timeout; stopped => cancelled", async () => {
    const nowhere = apiClient({ name: "cp9", url: "http://127.0.0.1:1", tls: { ca: "", cert: "", key: "" } });
    await assert.rejects(
      nowhere.send({ method: "GET", path: "/x" }),
      code("unreachable", /^cp9: GET \/x: ECONNREFUSED/),
    );
    await nowhere.close();
    server.delay = 300;
    await assert.rejects(
      server.client.send({ method: "GET", path: "/x", timeout: 30 }),
      code("timeout", /^cp1: GET \/x: no answer in 0.03 s/),
    );
    const controller = new AbortController();
    const sent = server.client.send({ method: "GET", path: "/x" }, controller.signal);
    controller.abort();
    await assert.rejects(sent, code("cancelled", /^cp1/));
    await assert.rejects(
      server.client.send({ method: "GET", path: "/x" }, controller.signal),
      code("cancelled", /^cp1/),
    );
  });

  it("a long answer is handed on in pieces", async () => {
    server.intercept = () => ({ status: 200, body: "x".repeat(3_000_000) });
    let length = 0;
    let pieces = 0;
    await server.client.stream("/metrics", (chunk) => ((length += chunk.length), (pieces += 1)), signal);
    assert.equal(length, 3_000_000);
    assert.ok(pieces > 1);
    server.intercept = () => failure(403, "Forbidden");
    await assert.rejects(
      server.client.stream("/metrics", () => {}, signal),
      code("permission-denied", /\/metrics/),
    );
  });
});

describe("what a refusal is told as", () => {
  it("nothing that may quote an object is passed on", () => {
    const status = (reason: string, message: string, details?: object) =>
      JSON.stringify({ kind: "Status", reason, message, details });
    assert.equal(describeStatus(422, status("Invalid", 'spec.password: Invalid value: "hunter2"')), "422 Invalid");
    assert.equal(describeStatus(400, status("BadRequest", "hunter2")), "400 BadRequest");
    assert.equal(
      describeStatus(403, status("Forbidden", 'admission webhook "w.example.com" denied the request: hunter2')),
      '403 Forbidden: admission webhook "w.example.com" denied the request',
    );
    assert.equal(
      describeStatus(500, status("InternalError", "failed to decrypt")),
      "500 InternalError: failed to decrypt",
    );
    assert.equal(
      describeStatus(
        500,
        status("InternalError", "no matching prefix found", { causes: [{ message: "no matching prefix found" }] }),
      ),
      "500 InternalError: no matching prefix found",
    );
    assert.equal(describeStatus(502, "<html>"), "HTTP 502");
  });
});
