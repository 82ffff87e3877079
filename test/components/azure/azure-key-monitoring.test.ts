import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { AzureKeyMonitoring } from "../../../components/azure/azure-key-monitoring";
import { AzureKeyVaultKey } from "../../../components/azure/azure-key-vault-key";
import { eventually } from "../../e2e/support/eventually";
import { group, type RecordedAzure, recordAzure, valueOf, vaultId } from "./recorded-azure";

const workspaceId = `${group}/Microsoft.OperationalInsights/workspaces/logs`;
const clusterId = `${group}/Microsoft.ContainerService/managedClusters/aks`;
const actionGroupId = `${group}/Microsoft.Insights/actionGroups/on-call`;
const setting = "azure-native:monitor:DiagnosticSetting";
const rule = "azure-native:monitor:ScheduledQueryRule";
const settings = { workspaceId, resourceGroupName: "rg", location: "westeurope" };

describe("AzureKeyMonitoring", () => {
  let azure: RecordedAzure;

  beforeEach(async () => {
    azure = await recordAzure();
  });

  async function made(monitoring: AzureKeyMonitoring): Promise<void> {
    await Promise.all([monitoring.refusedAlertId, monitoring.throttledAlertId, monitoring.expiryAlertId].map(valueOf));
  }
  const queryOf = (name: string) => {
    const { criteria } = azure.of(rule).find((found) => found.name === name)?.inputs as {
      criteria: { allOf: { query: string }[] };
    };
    return criteria.allOf[0]?.query ?? "";
  };

  it("a vault and a workspace => its audit log goes there, and three rules look at it for this vault only", async () => {
    await made(new AzureKeyMonitoring("etcd", { vaultId, settings: { ...settings, actionGroupIds: [actionGroupId] } }));
    assert.deepEqual(
      azure.of(setting).map(({ inputs }) => inputs),
      [
        {
          resourceUri: vaultId,
          name: "kms-etcd-etcd",
          workspaceId,
          logs: [{ category: "AuditEvent", enabled: true }],
        },
      ],
    );
    assert.deepEqual(
      azure
        .of(rule)
        .map(({ name }) => name)
        .sort(),
      ["etcd-expiring", "etcd-refused", "etcd-throttled"],
    );
    for (const { name, inputs } of azure.of(rule)) {
      assert.ok(queryOf(name).includes(`ResourceId =~ "${vaultId}"`), name);
      assert.deepEqual(inputs["scopes"], [workspaceId]);
      assert.deepEqual(inputs["actions"], { actionGroups: [actionGroupId] });
    }
    assert.match(queryOf("etcd-refused"), /in \(403, 404\)/);
    assert.match(queryOf("etcd-throttled"), /== 429/);
    assert.match(queryOf("etcd-expiring"), /KeyNearExpiryEventGridNotification/);
  });

  it("a cluster => its API servers' log goes there too; auditLog false => the vault's is left to others", async () => {
    await made(new AzureKeyMonitoring("etcd", { vaultId, settings: { ...settings, clusterId, auditLog: false } }));
    assert.deepEqual(
      azure.of(setting).map(({ inputs }) => [inputs["resourceUri"], inputs["logs"]]),
      [[clusterId, [{ category: "kube-apiserver", enabled: true }]]],
    );
  });

  it("dates of expiry => the rule counts the days itself; what is no date is refused", async () => {
    await made(new AzureKeyMonitoring("etcd", { vaultId, settings, keyExpiry: { "1": "2028-01-31T00:00:00Z" } }));
    assert.match(queryOf("etcd-expiring"), /datatable.*\["1", datetime\(2028-01-31T00:00:00\.000Z\)\]/);
    assert.match(queryOf("etcd-expiring"), /Expires < now\(\) \+ 30d/);
  });

  it("a key block with monitoring => rules for the vault that is made, with the block's own dates", async () => {
    const keys = new AzureKeyVaultKey("etcd", {
      source: {
        resourceGroupName: "rg",
        location: "westeurope",
        monitoring: settings,
        keyExpiry: { "1": "2028-01-31T00:00:00Z" },
      },
      newestKeyVersion: 1,
    });
    await valueOf(keys.vaultId);
    await eventually("three rules are made", 20, () => azure.of(rule).length === 3);
    assert.match(queryOf("etcd-expiring"), /2028-01-31/);
  });

  it("a misspelt or missing setting => refused by its path, wherever it stands", () => {
    const misspelt = { ...settings, workspace: workspaceId } as unknown as typeof settings;
    const source = { resourceGroupName: "rg", location: "westeurope", monitoring: { workspaceId } as typeof settings };
    assert.deepEqual(
      pathsOf(() => new AzureKeyMonitoring("etcd", { vaultId, settings: misspelt })),
      ["settings.workspace"],
    );
    assert.deepEqual(
      pathsOf(() => new AzureKeyVaultKey("etcd", { source, newestKeyVersion: 1 })),
      ["source.monitoring.resourceGroupName", "source.monitoring.location"],
    );
    assert.deepEqual(azure.registered, []);
  });
});

function pathsOf(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (thrown) {
    if (pulumi.InputPropertiesError.isInstance(thrown)) return thrown.errors.map(({ propertyPath }) => propertyPath);
    if (pulumi.InputPropertyError.isInstance(thrown)) return [thrown.propertyPath];
    throw thrown;
  }
  return assert.fail("nothing was refused");
}
