import assert from "node:assert/strict";
import { type ArmRequests, armRequests } from "./arm-requests";
import { type FakeArm, startFakeArm } from "./fake-arm";
import { textAt } from "./shape";

describe("monitoring and registries in the fake ARM", function () {
  this.timeout(20_000);
  let fake: FakeArm;
  let arm: ArmRequests;
  let group: string;
  let vault: string;
  let workspace: string;
  before(async () => {
    fake = await startFakeArm({ secondOpinion: "cached" });
    arm = armRequests(fake);
    group = await arm.group();
    vault = `${group}/providers/Microsoft.KeyVault/vaults/audited`;
    workspace = `${group}/providers/Microsoft.OperationalInsights/workspaces/logs`;
    const properties = { tenantId: fake.tenantId, sku: { family: "A", name: "standard" } };
    await arm.put(vault, "2024-11-01", { location: "westeurope", properties });
    await arm.put(workspace, "2023-09-01", { location: "westeurope", properties: { retentionInDays: 30 } });
  });
  after(async () => {
    await arm.close();
    await fake.close();
  });

  const setting = (name: string, properties: Record<string, never> | object) =>
    arm.put(`${vault}/providers/Microsoft.Insights/diagnosticSettings/${name}`, "2021-05-01-preview", {
      properties: properties as Record<string, never>,
    });

  it("a diagnostic setting needs a sink that exists, and categories that the resource has", async () => {
    assert.match((await setting("audit", { logs: [] })).message, /data sink/);
    assert.equal((await setting("audit", { workspaceId: `${workspace}2`, logs: [] })).code, "ResourceNotFound");
    const wrong = { workspaceId: workspace, logs: [{ category: "kube-audit", enabled: true }] };
    assert.match((await setting("audit", wrong)).message, /Category 'kube-audit' is not supported/);
    const right = { workspaceId: workspace, logs: [{ category: "AuditEvent", enabled: true }] };
    assert.equal((await setting("audit", right)).status, 201);
    assert.equal((await setting("second", right)).code, "Conflict");
  });

  it("alert rules name resources and action groups that exist", async () => {
    const actions = `${group}/providers/Microsoft.Insights/actionGroups/team`;
    const rule = (actionGroup: string) => ({
      location: "westeurope",
      properties: {
        scopes: [workspace],
        severity: 2,
        enabled: true,
        evaluationFrequency: "PT5M",
        windowSize: "PT15M",
        criteria: {
          allOf: [{ query: "AzureDiagnostics", timeAggregation: "Count", operator: "GreaterThan", threshold: 0 }],
        },
        actions: { actionGroups: [actionGroup] },
      },
    });
    const path = `${group}/providers/Microsoft.Insights/scheduledQueryRules/denied`;
    assert.equal((await arm.put(path, "2023-12-01", rule(actions))).code, "ResourceNotFound");
    const team = {
      groupShortName: "team",
      enabled: true,
      emailReceivers: [{ name: "a", emailAddress: "a@example.com" }],
    };
    await arm.put(actions, "2023-01-01", { location: "Global", properties: team });
    assert.equal((await arm.put(path, "2023-12-01", rule(actions))).status, 201);
  });

  it("a registry has a name of letters and digits, taken once, and credentials only for its admin user", async () => {
    const path = (name: string) => `${group}/providers/Microsoft.ContainerRegistry/registries/${name}`;
    const body = { location: "westeurope", sku: { name: "Basic" } };
    assert.equal((await arm.put(path("with-hyphen"), "2023-07-01", body)).status, 400);
    const made = await arm.put(path("images"), "2023-07-01", body);
    assert.equal(textAt(made.body, "properties", "loginServer"), "images.azurecr.io");
    const refused = await arm.ask("POST", `${path("images")}/listCredentials`, "2023-07-01");
    assert.equal(refused.code, "UnauthorizedForCredentialOperations");
  });
});
