import assert from "node:assert/strict";
import { createHttpHeaders, createPipelineRequest, type PipelineResponse } from "@azure/core-rest-pipeline";
import fc from "fast-check";
import { describeError } from "../../../../core/errors";
import { clockNote } from "../../../../plugin-server/providers/azure-key-vault/clock-difference";
import { vaultFailure } from "../../../../plugin-server/providers/azure-key-vault/errors";
import { networkFailure } from "../../../../plugin-server/providers/azure-key-vault/network-failure";
import { retryAfterMs } from "../../../../plugin-server/providers/azure-key-vault/retry-after";

const kid = "https://myvault.vault.azure.net/keys/mykey/v1";

function answer(status: number, body: string, headers: Record<string, string> = {}): PipelineResponse {
  return {
    request: createPipelineRequest({ url: kid }),
    status,
    headers: createHttpHeaders(headers),
    bodyAsText: body,
  };
}

describe("what Key Vault's answers mean", () => {
  const error = (code: string, inner?: string, message = "") =>
    JSON.stringify({ error: { code, message, innererror: { code: inner } } });
  const table: readonly (readonly [string, PipelineResponse, "encrypt" | "decrypt", string, "never" | "later"])[] = [
    ["throttled", answer(429, error("Throttled")), "encrypt", "throttled", "later"],
    ["throttled by a gateway", answer(429, "<html>"), "encrypt", "throttled", "later"],
    ["request timeout", answer(408, ""), "decrypt", "unreachable", "later"],
    ["internal error", answer(500, error("InternalServerError")), "decrypt", "unreachable", "later"],
    ["unavailable", answer(503, ""), "encrypt", "unreachable", "later"],
    ["denied by an access policy", answer(403, error("Forbidden", "AccessDenied")), "decrypt", "key-unusable", "never"],
    [
      "disabled, by its text",
      answer(403, error("Forbidden", undefined, "Operation is not allowed on a disabled key.")),
      "decrypt",
      "key-unusable",
      "never",
    ],
    ["being deleted", answer(409, error("Conflict", "ObjectIsBeingDeleted")), "decrypt", "key-unusable", "never"],
    ["not found", answer(404, error("KeyNotFound")), "encrypt", "key-unusable", "never"],
    ["someone else's 404", answer(404, "not found"), "encrypt", "unreachable", "never"],
    ["undecryptable", answer(400, error("BadParameter")), "decrypt", "corrupt", "never"],
    ["too long", answer(400, error("BadParameter")), "encrypt", "invalid-input", "never"],
    ["a token that is refused", answer(401, "", { "www-authenticate": "Bearer" }), "encrypt", "key-unusable", "never"],
    ["a proxy that wants a password", answer(407, "", {}), "encrypt", "unreachable", "never"],
  ];
  for (const [name, response, operation, code, retry] of table) {
    it(`${name}: ${code}, ${retry === "later" ? "again" : "not again"}`, () => {
      const failure = vaultFailure(response, operation, kid);
      assert.equal(failure.error.code, code);
      assert.equal(failure.retry, retry);
      assert.ok(failure.error.message.includes(kid));
      assert.ok(failure.error.remedy);
    });
  }

  it("show codes and the request's id, and nothing else of an answer", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(200, 302, 400, 401, 403, 404, 409, 413, 429, 500, 503),
        fc.constantFrom("encrypt" as const, "decrypt" as const),
        (status, operation) => {
          const echo = "c2VjcmV0LXBsYWludGV4dA.eyJ0b2tlbiI";
          const body = JSON.stringify({
            error: { code: `Bad ${echo}`, message: echo, innererror: { code: echo } },
            value: echo,
          });
          const { error } = vaultFailure(
            answer(status, body, { "x-ms-request-id": echo, "retry-after": echo }),
            operation,
            kid,
          );
          assert.ok(!describeError(error).includes(echo) && error.cause === undefined);
        },
      ),
    );
  });

  it("survive any body", () => {
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), fc.oneof(fc.string(), fc.json()), (status, body) => {
        const { error } = vaultFailure(answer(status, body), "decrypt", kid);
        assert.ok(["throttled", "unreachable", "key-unusable", "corrupt"].includes(error.code));
      }),
    );
  });

  it("name the tenant's number and the clock when a token is refused", () => {
    const hourAgo = new Date(Date.now() - 3_600_000).toUTCString();
    const { error } = vaultFailure(
      answer(401, '{"error":{"code":"Unauthorized","message":"AKV10032: Invalid issuer."}}', {
        "www-authenticate": "Bearer",
        date: hourAgo,
      }),
      "encrypt",
      kid,
    );
    assert.match(error.message, /AKV10032.*; this host's clock is 60 minutes ahead of the service's/);
  });
});

describe("what a failed connection means", () => {
  const withCode = (code: string, cause?: unknown) =>
    Object.assign(new Error("a message with a secret", { cause }), { code });
  const table: readonly (readonly [unknown, "never" | "later", RegExp])[] = [
    [withCode("ENOTFOUND"), "later", /name of the vault has no address here: ENOTFOUND/],
    [withCode("ECONNREFUSED"), "later", /connection to the vault failed: ECONNREFUSED/],
    [withCode("UND_ERR_SOCKET", withCode("ECONNRESET")), "later", /UND_ERR_SOCKET/],
    [new AggregateError([withCode("EHOSTUNREACH")]), "later", /EHOSTUNREACH/],
    [new TypeError("fetch failed", { cause: withCode("ETIMEDOUT") }), "later", /ETIMEDOUT/],
    [withCode("CERT_HAS_EXPIRED"), "never", /certificate of the vault is not accepted: CERT_HAS_EXPIRED/],
    [withCode("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), "never", /certificate/],
    [withCode("ERR_TLS_CERT_ALTNAME_INVALID"), "never", /certificate/],
    ["a text", "later", /unknown reason/],
  ];
  for (const [thrown, retry, message] of table) {
    it(`${message.source}: ${retry === "later" ? "again" : "not again"}`, () => {
      const failure = networkFailure(thrown, "the vault");
      assert.equal(failure.retry, retry);
      assert.equal(failure.error.code, "unreachable");
      assert.match(failure.error.message, message);
      assert.ok(!describeError(failure.error).includes("secret"));
    });
  }
});

describe("how long a service asks to be left alone", () => {
  const date = "Sat, 21 Nov 2026 07:00:00 GMT";
  for (const [headers, expected] of [
    [{}, undefined],
    [{ "retry-after": "3" }, 3_000],
    [{ "retry-after": " 0 " }, 0],
    [{ "retry-after-ms": "250", "retry-after": "9" }, 250],
    [{ "x-ms-retry-after-ms": "40" }, 40],
    [{ "retry-after": "Sat, 21 Nov 2026 07:00:20 GMT", date }, 20_000],
    [{ "retry-after": "Sat, 21 Nov 2026 06:00:00 GMT", date }, 0],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "-1" }, undefined],
  ] as const) {
    it(`${JSON.stringify(headers)}: ${expected ?? "not said"}`, () => {
      assert.equal(retryAfterMs(createHttpHeaders(headers)), expected);
    });
  }
});

describe("the note on clocks", () => {
  const date = "Sat, 21 Nov 2026 07:00:00 GMT";
  const headers = createHttpHeaders({ date });
  it("is empty while they agree, and otherwise says by how much and which way", () => {
    assert.equal(clockNote(headers, Date.parse(date) + 59_000), "");
    assert.equal(
      clockNote(headers, Date.parse(date) + 61_000),
      "; this host's clock is 1 minute ahead of the service's",
    );
    assert.equal(
      clockNote(headers, Date.parse(date) - 7_200_000),
      "; this host's clock is 120 minutes behind the service's",
    );
    assert.equal(clockNote(createHttpHeaders({ date: "never" })), "");
    assert.equal(clockNote(undefined), "");
  });
});
