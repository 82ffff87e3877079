/** The vault's audit log in Log Analytics, and alert rules on what it says: a KMS key whose vault refuses is an outage of API servers. */
import * as pulumi from "@pulumi/pulumi";
import { expiringKeysQuery, refusedCallsQuery, throttledCallsQuery } from "../../core/azure-audit-queries";
import { parseVaultId } from "../../core/azure-key-id";
import { type InputViolation, unknownInputViolations } from "../../core/input-rules";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { loadAzureNative } from "./azure-native";

/** Where logs go, and whom alerts tell. */
export interface AzureKeyMonitoringSettingsArgs {
  /** Resource id of the Log Analytics workspace that logs go to and alert rules look at. */
  readonly workspaceId: pulumi.Input<string>;
  /** Resource group of the alert rules. Moving it later makes other rules. */
  readonly resourceGroupName: pulumi.Input<string>;
  /** Region of the alert rules: that of the workspace. */
  readonly location: pulumi.Input<string>;
  /**
   * Whether the vault's audit log is sent to the workspace. False where somebody else does: Azure takes one setting for a vault and a
   * workspace.
   * @default true
   */
  readonly auditLog?: boolean;
  /** Resource id of an AKS cluster whose API servers' log is sent to the workspace too: their KMS errors are there. It costs by volume. */
  readonly clusterId?: pulumi.Input<string>;
  /** Resource ids of the action groups that alerts go to. Without any, alerts are seen in Azure Monitor only. */
  readonly actionGroupIds?: pulumi.Input<pulumi.Input<string>[]>;
}

/** The inputs of an AzureKeyMonitoring. */
export interface AzureKeyMonitoringArgs {
  /** Resource id of the vault. */
  readonly vaultId: pulumi.Input<string>;
  /** Where logs go, and whom alerts tell. */
  readonly settings: AzureKeyMonitoringSettingsArgs;
  /**
   * When keys expire, by names of your own (ISO 8601): versions, for example. The vault says it of its keys itself, but once.
   * @default what the vault says
   */
  readonly keyExpiry?: Record<string, pulumi.Input<string>>;
  /** Tags of the alert rules. */
  readonly tags?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

const settingNames = ["workspaceId", "resourceGroupName", "location", "auditLog", "clusterId", "actionGroupIds"];

/** What is wrong with the settings, which stand at `path`. */
export function monitoringViolations(path: string, settings: unknown): readonly InputViolation[] {
  if (settings === undefined) return [];
  const given = settings as Readonly<Record<string, unknown>>;
  const missing = ["workspaceId", "resourceGroupName", "location"].filter((name) => given[name] === undefined);
  return [
    ...unknownInputViolations(given, settingNames).map((found) => ({ ...found, path: `${path}.${found.path}` })),
    ...missing.map((name) => ({ path: `${path}.${name}`, reason: "is missing; alert rules need it" })),
  ];
}

/** Sends a vault's audit log to a workspace, and alerts on refused calls, on throttled calls, and on keys that expire within 30 days. */
export class AzureKeyMonitoring extends pulumi.ComponentResource {
  /** Resource id of the alert rule on calls that the vault refused. */
  readonly refusedAlertId: pulumi.Output<string>;
  /** Resource id of the alert rule on calls that the vault throttled. */
  readonly throttledAlertId: pulumi.Output<string>;
  /** Resource id of the alert rule on keys that are about to expire. */
  readonly expiryAlertId: pulumi.Output<string>;

  constructor(name: string, args: AzureKeyMonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
    const violations = monitoringViolations("settings", args.settings);
    if (violations.length > 0) throw inputError("AzureKeyMonitoring", violations);
    super(typeTokens.azureKeyMonitoring, name, args, opts);
    const { ScheduledQueryRule } = loadAzureNative();
    const { resourceGroupName, location, workspaceId, actionGroupIds } = args.settings;
    const vaultId = pulumi.output(args.vaultId).apply(provenVaultId);
    const logs = sendLogs(name, args.settings, vaultId, this);
    const rule = (
      kind: string,
      query: pulumi.Input<string>,
      about: { readonly description: string; readonly severity: number; readonly every: string; readonly over: string },
    ) =>
      new ScheduledQueryRule(
        `${name}-${kind}`,
        {
          resourceGroupName,
          location,
          kind: "LogAlert",
          displayName: `etcd encryption ${name}: ${kind}`,
          description: about.description,
          severity: about.severity,
          enabled: true,
          scopes: [workspaceId],
          evaluationFrequency: about.every,
          windowSize: about.over,
          criteria: {
            allOf: [
              {
                query,
                timeAggregation: "Count",
                operator: "GreaterThan",
                threshold: 0,
                failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 },
              },
            ],
          },
          // In a new workspace the table is not there before the first line.
          skipQueryValidation: true,
          autoMitigate: true,
          ...(actionGroupIds === undefined ? {} : { actions: { actionGroups: actionGroupIds } }),
          ...(args.tags === undefined ? {} : { tags: args.tags }),
        },
        { parent: this, dependsOn: logs },
      );
    const often = { every: "PT5M", over: "PT15M" };
    this.refusedAlertId = rule("refused", vaultId.apply(refusedCallsQuery), {
      description: "The vault refused calls with its keys: API servers may not be able to read Secrets.",
      severity: 1,
      ...often,
    }).id;
    this.throttledAlertId = rule("throttled", vaultId.apply(throttledCallsQuery), {
      description: "The vault throttled calls: API servers may have been slow to start or to read Secrets.",
      severity: 2,
      ...often,
    }).id;
    const expiring = pulumi.all([vaultId, pulumi.output(args.keyExpiry ?? {})]);
    this.expiryAlertId = rule(
      "expiring",
      expiring.apply(([id, dates]) => expiringKeysQuery(id, dates)),
      {
        description:
          "A key expires within 30 days. After that API servers can't read what is under it: extend its expiry.",
        severity: 1,
        every: "PT1H",
        over: "P1D",
      },
    ).id;
    this.registerOutputs({
      refusedAlertId: this.refusedAlertId,
      throttledAlertId: this.throttledAlertId,
      expiryAlertId: this.expiryAlertId,
    });
  }
}

function sendLogs(
  name: string,
  settings: AzureKeyMonitoringSettingsArgs,
  vaultId: pulumi.Output<string>,
  parent: pulumi.Resource,
): pulumi.Resource[] {
  const { DiagnosticSetting } = loadAzureNative();
  const { workspaceId, clusterId, auditLog } = settings;
  const send = (from: string, resourceUri: pulumi.Input<string>, category: string) =>
    new DiagnosticSetting(
      `${name}-${from}`,
      { resourceUri, name: `kms-etcd-${name}`, workspaceId, logs: [{ category, enabled: true }] },
      { parent },
    );
  return [
    ...(auditLog === false ? [] : [send("vault", vaultId, "AuditEvent")]),
    ...(clusterId === undefined ? [] : [send("cluster", clusterId, "kube-apiserver")]),
  ];
}

function provenVaultId(id: string): string {
  if (parseVaultId(id) !== undefined) return id;
  throw new pulumi.InputPropertyError({
    propertyPath: "vaultId",
    reason: `is ${JSON.stringify(id)}, which is no resource id of a vault; \`az keyvault show --name NAME --query id\` prints it`,
  });
}
