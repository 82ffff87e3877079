import assert from "node:assert/strict";
import { createHttpHeaders, createPipelineRequest, type PipelineResponse } from "@azure/core-rest-pipeline";
import { armCodeOf, armError } from "../../../../rotation/adapters/azure/arm-error";

const url = "https://management.azure.com/";

function answer(status: number, bodyAsText: string): PipelineResponse {
  return { status, bodyAsText, headers: createHttpHeaders(), request: createPipelineRequest({ url }) };
}

describe("what ARM refuses", () => {
  it("an operation that AKS could not carry out => the remedy names the portal's KMS detector, which says why", () => {
    const body = { code: "InternalOperationError", message: "the API servers do not come up" };
    for (const text of [JSON.stringify({ error: body }), JSON.stringify(body)]) {
      const error = armError(answer(200, text), "/clusters/a");
      assert.match(error.message, /\/clusters\/a: InternalOperationError: the API servers do not come up/);
      assert.match(error.remedy ?? "", /Diagnose and solve problems, KMS/);
      assert.equal(armCodeOf(error), "InternalOperationError");
    }
  });

  it("a gateway's page => by its status, with what to do", () => {
    const error = armError(answer(503, "<html>busy</html>"), "/clusters/a");
    assert.deepEqual([error.code, armCodeOf(error)], ["unreachable", "503"]);
    assert.match(error.remedy ?? "", /run again/);
  });
});
