import assert from "node:assert/strict";
import type { RecordedBody } from "./arm-model";
import { checkBodies, loadSecondOpinion, type SecondOpinion } from "./second-opinion";
import type { JsonObject } from "./shape";
import { armTypes } from "./types/index";

/** Where the publisher's models are not in the cache, `test/run.mjs` gets them before the end-to-end tests. */
describe("the second opinion on bodies, from the publisher's own models", function () {
  this.timeout(20_000);
  let opinion: SecondOpinion;
  before(async function () {
    const loaded = await loadSecondOpinion("cached");
    if (loaded === undefined) return this.skip();
    opinion = loaded;
  });

  const cluster = (kms: JsonObject): Pick<RecordedBody, "type" | "body"> => ({
    type: "Microsoft.ContainerService/managedClusters",
    body: { location: "westeurope", properties: { securityProfile: { azureKeyVaultKms: kms } } },
  });

  it("has nothing against a body that is in order", () => {
    assert.deepEqual(opinion.problemsOf(cluster({ enabled: true, keyId: "k", keyVaultNetworkAccess: "Private" })), []);
  });

  it("finds a misspelt property, a wrong type, a value that is not listed and what is missing", () => {
    const place = "properties.securityProfile.azureKeyVaultKms";
    assert.deepEqual(opinion.problemsOf(cluster({ enabled: true, keyID: "k" })), [`${place}.keyID is unknown`]);
    assert.deepEqual(opinion.problemsOf(cluster({ enabled: "yes" })), [`${place}.enabled is no Boolean`]);
    assert.match(opinion.problemsOf(cluster({ keyVaultNetworkAccess: "Hidden" }))[0] ?? "", /'Hidden', which/);
    assert.deepEqual(opinion.problemsOf({ ...cluster({}), body: {} }), ["location is missing"]);
  });

  it("reads the older generation of models too, with names that have a dot, and classes that a field chooses", () => {
    const alert = (odata: string, criterion: JsonObject): Pick<RecordedBody, "type" | "body"> => ({
      type: "Microsoft.Insights/metricAlerts",
      body: {
        location: "global",
        properties: {
          severity: 1,
          enabled: true,
          scopes: [],
          evaluationFrequency: "PT1M",
          windowSize: "PT5M",
          criteria: { "odata.type": odata, allOf: [criterion] },
        },
      },
    });
    const single = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria";
    const criterion = {
      criterionType: "StaticThresholdCriterion",
      name: "c",
      metricName: "m",
      timeAggregation: "Total",
      operator: "GreaterThan",
      threshold: 1,
    };
    assert.deepEqual(opinion.problemsOf(alert(single, criterion)), []);
    assert.match(
      opinion.problemsOf(alert(single, { ...criterion, threshold: "1" }))[0] ?? "",
      /threshold is no number/,
    );
  });

  it("knows every type that can be written", () => {
    const written = [...armTypes.values()].filter(
      ({ type }) => !/\/(deletedVaults|virtualMachines|versions)$/.test(type),
    );
    for (const { type } of written)
      assert.doesNotMatch(opinion.problemsOf({ type, body: {} }).join(), /no package describes/, type);
  });

  it("a test that sends a misspelt property which the model has let through fails at its end", async () => {
    const { type, body } = cluster({ keyID: "k" });
    const recorded = { method: "PUT", path: "/p", type, apiVersion: "2025-09-01", body, refused: undefined };
    await assert.rejects(checkBodies([recorded], "cached"), /PUT \/p: .*keyID is unknown/);
    await checkBodies([{ ...recorded, refused: "UnmarshalError" }], "cached");
  });
});
