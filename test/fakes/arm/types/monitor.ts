/** Diagnostic settings, alert rules, their action groups, and the Log Analytics workspace that logs go to. */
import { randomUUID } from "node:crypto";
import { ArmError } from "../arm-error";
import type { ArmType, ArmWorld } from "../arm-type";
import {
  decimal,
  flag,
  flat,
  integer,
  isList,
  type JsonObject,
  json,
  list,
  map,
  named,
  object,
  oneOf,
  readOnly,
  required,
  text,
  textAt,
  texts,
} from "../shape";
import { bodyProperties, envelope, propertiesOf, regionOf, tracked } from "./common";

const workspaceType = "Microsoft.OperationalInsights/workspaces";
const duration = text(/^P(T?\d+[DHM])+$/);

/** A category that the resource does not have is refused. */
const categories: Readonly<Record<string, readonly string[]>> = {
  "Microsoft.KeyVault/vaults": ["AuditEvent", "AzurePolicyEvaluationDetails"],
  "Microsoft.ContainerService/managedClusters": [
    ...["kube-apiserver", "kube-audit", "kube-audit-admin", "kube-controller-manager", "kube-scheduler"],
    ...[
      "cluster-autoscaler",
      "cloud-controller-manager",
      "guard",
      "csi-azuredisk-controller",
      "csi-azurefile-controller",
    ],
  ],
};

const enabledSetting = {
  enabled: required(flag()),
  retentionPolicy: object({ enabled: required(flag()), days: required(integer(0)) }),
};

export const diagnosticSettings: ArmType = {
  type: "Microsoft.Insights/diagnosticSettings",
  apiVersions: ["2021-05-01-preview"],
  extension: true,
  shape: object({
    ...envelope,
    properties: required(
      flat(
        object({
          storageAccountId: text(),
          serviceBusRuleId: text(),
          eventHubAuthorizationRuleId: text(),
          eventHubName: text(),
          workspaceId: text(),
          marketplacePartnerId: text(),
          logAnalyticsDestinationType: text(),
          logs: list(object({ category: text(), categoryGroup: oneOf("allLogs", "audit"), ...enabledSetting })),
          metrics: list(object({ category: text(), timeGrain: duration, ...enabledSetting })),
        }),
      ),
    ),
  }),
  put(work) {
    const { world, id, before } = work;
    const asked = bodyProperties(work);
    const bad = (message: string) => new ArmError(400, "BadRequest", message);
    const { workspaceId } = asked;
    const sinks = [
      workspaceId,
      asked["storageAccountId"],
      asked["eventHubAuthorizationRuleId"],
      asked["marketplacePartnerId"],
    ];
    if (sinks.every((sink) => sink === undefined)) {
      throw bad("At least one data sink needs to be specified: a workspace, a storage account or an event hub.");
    }
    if (typeof workspaceId === "string") requireWorkspace(world, workspaceId);
    const target = world.find(id.parent);
    const known = categories[target?.type.type ?? ""] ?? [];
    for (const log of isList(asked["logs"]) ? asked["logs"] : []) {
      const { category, categoryGroup } = log as { category?: string; categoryGroup?: string };
      if ((category === undefined) === (categoryGroup === undefined)) {
        throw bad("A log setting must have a category or a category group, and not both.");
      }
      if (category !== undefined && !known.includes(category)) {
        throw bad(`Category '${category}' is not supported.`);
      }
    }
    const same = world
      .list(diagnosticSettings.type, id.parent)
      .find(
        (other) => other !== before && propertiesOf(other)["workspaceId"] === workspaceId && workspaceId !== undefined,
      );
    if (same !== undefined) {
      throw new ArmError(
        409,
        "Conflict",
        `Data sink '${textAt(asked, "workspaceId")}' is already used in diagnostic setting '${same.id.names.at(-1) ?? ""}'. Data sinks can't be reused in different settings on the same category for the same resource.`,
      );
    }
    return { body: { properties: { logs: [], metrics: [], ...asked } } };
  },
};

export const scheduledQueryRules: ArmType = {
  type: "Microsoft.Insights/scheduledQueryRules",
  apiVersions: ["2023-12-01", "2025-01-01-preview"],
  patchTags: true,
  shape: object({
    ...tracked,
    kind: oneOf("LogAlert", "EventLogAlert", "LogToMetric"),
    etag: readOnly(text()),
    identity: json(),
    properties: required(
      flat(
        object({
          description: text(),
          displayName: text(),
          severity: integer(0, 4),
          enabled: flag(),
          scopes: required(texts()),
          evaluationFrequency: duration,
          windowSize: duration,
          overrideQueryTimeRange: duration,
          targetResourceTypes: texts(),
          criteria: required(
            object({
              allOf: required(
                list(
                  object({
                    criterionType: oneOf("StaticThresholdCriterion", "DynamicThresholdCriterion"),
                    query: required(text()),
                    timeAggregation: required(oneOf("Count", "Average", "Minimum", "Maximum", "Total")),
                    metricMeasureColumn: text(),
                    metricName: text(),
                    resourceIdColumn: text(),
                    dimensions: list(
                      object({
                        name: required(text()),
                        operator: required(oneOf("Include", "Exclude")),
                        values: required(texts()),
                      }),
                    ),
                    operator: required(
                      oneOf("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
                    ),
                    threshold: required(decimal()),
                    failingPeriods: object({
                      numberOfEvaluationPeriods: integer(1, 6),
                      minFailingPeriodsToAlert: integer(1, 6),
                    }),
                    alertSensitivity: text(),
                    ignoreDataBefore: text(),
                    minRecurrenceCount: integer(),
                  }),
                ),
              ),
            }),
          ),
          muteActionsDuration: duration,
          actions: object({ actionGroups: texts(), customProperties: map(text()), actionProperties: map(text()) }),
          autoMitigate: flag(),
          resolveConfiguration: json(),
          checkWorkspaceAlertsStorageConfigured: flag(),
          skipQueryValidation: flag(),
          createdWithApiVersion: readOnly(text()),
          isLegacyLogAnalyticsRule: readOnly(flag()),
          isWorkspaceAlertsStorageConfigured: readOnly(flag()),
        }),
      ),
    ),
  }),
  put(work) {
    const asked = bodyProperties(work);
    for (const scope of scopesOf(asked)) requireResource(work.world, scope);
    requireActionGroups(work.world, asked["actions"]);
    return { body: { ...work.body, location: regionOf(scheduledQueryRules.type, work.body["location"]) } };
  },
};

export const metricAlerts: ArmType = {
  type: "Microsoft.Insights/metricAlerts",
  apiVersions: ["2018-03-01"],
  patchTags: true,
  shape: object({
    ...tracked,
    properties: required(
      flat(
        object({
          description: text(),
          severity: required(integer(0, 4)),
          enabled: required(flag()),
          scopes: required(texts()),
          evaluationFrequency: required(duration),
          windowSize: required(duration),
          targetResourceType: text(),
          targetResourceRegion: text(),
          criteria: required(
            object({
              "odata.type": named("odataType", required(text(/^Microsoft\.Azure\.Monitor\.\w+$/))),
              allOf: list(
                object({
                  criterionType: required(oneOf("StaticThresholdCriterion", "DynamicThresholdCriterion")),
                  name: required(text()),
                  metricName: required(text()),
                  metricNamespace: text(),
                  timeAggregation: required(oneOf("Average", "Count", "Minimum", "Maximum", "Total")),
                  dimensions: list(
                    object({
                      name: required(text()),
                      operator: required(oneOf("Include", "Exclude")),
                      values: required(texts()),
                    }),
                  ),
                  operator: required(
                    oneOf("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"),
                  ),
                  threshold: required(decimal()),
                  skipMetricValidation: flag(),
                }),
              ),
            }),
          ),
          autoMitigate: flag(),
          actions: list(object({ actionGroupId: text(), webHookProperties: map(text()) })),
          lastUpdatedTime: readOnly(text()),
          isMigrated: readOnly(flag()),
        }),
      ),
    ),
  }),
  put(work) {
    const asked = bodyProperties(work);
    for (const scope of scopesOf(asked)) requireResource(work.world, scope);
    if (textAt(work.body, "location").toLowerCase() !== "global") {
      throw new ArmError(
        400,
        "LocationNotAvailableForResourceType",
        `The provided location '${textAt(work.body, "location")}' is not available for resource type '${metricAlerts.type}'. List of available regions for the resource type is 'global'.`,
      );
    }
    for (const action of isList(asked["actions"]) ? asked["actions"] : []) {
      requireResource(work.world, (action as { actionGroupId?: string }).actionGroupId ?? "");
    }
    return { body: { ...work.body, location: "global" } };
  },
};

const receiver = (fields: Parameters<typeof object>[0]) => list(object({ name: required(text()), ...fields }));

export const actionGroups: ArmType = {
  type: "Microsoft.Insights/actionGroups",
  apiVersions: ["2023-01-01", "2024-10-01-preview"],
  patchTags: true,
  shape: object({
    ...tracked,
    identity: json(),
    properties: required(
      flat(
        object({
          groupShortName: required(text(/^.{1,12}$/)),
          enabled: required(flag()),
          emailReceivers: receiver({
            emailAddress: required(text(/@/)),
            useCommonAlertSchema: flag(),
            status: readOnly(text()),
          }),
          webhookReceivers: receiver({ serviceUri: required(text()), useCommonAlertSchema: flag() }),
          armRoleReceivers: receiver({ roleId: required(text()), useCommonAlertSchema: flag() }),
        }),
      ),
    ),
  }),
  put: (work) => ({ body: { ...work.body, location: textAt(work.body, "location").toLowerCase() } }),
};

export const workspaces: ArmType = {
  type: workspaceType,
  apiVersions: ["2023-09-01", "2025-02-01", "2025-07-01"],
  name: /^[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]$/,
  etag: "etag",
  longRunning: true,
  patchTags: true,
  shape: object({
    ...tracked,
    etag: readOnly(text()),
    identity: json(),
    properties: flat(
      object({
        sku: object({
          name: required(oneOf("PerGB2018", "Standalone", "CapacityReservation", "Free")),
          capacityReservationLevel: integer(),
        }),
        retentionInDays: integer(-1, 730),
        workspaceCapping: object({ dailyQuotaGb: decimal() }),
        features: object({
          clusterResourceId: text(),
          disableLocalAuth: flag(),
          enableDataExport: flag(),
          enableLogAccessUsingOnlyResourcePermissions: flag(),
          immediatePurgeDataOn30Days: flag(),
        }),
        forceCmkForQuery: flag(),
        publicNetworkAccessForIngestion: oneOf("Enabled", "Disabled", "SecuredByPerimeter"),
        publicNetworkAccessForQuery: oneOf("Enabled", "Disabled", "SecuredByPerimeter"),
        defaultDataCollectionRuleResourceId: text(),
        customerId: readOnly(text()),
        createdDate: readOnly(text()),
        modifiedDate: readOnly(text()),
        privateLinkScopedResources: readOnly(json()),
        provisioningState: readOnly(text()),
      }),
    ),
  }),
  put(work) {
    const location = regionOf(workspaceType, work.body["location"]);
    const known = propertiesOf(work.before);
    const properties = {
      sku: { name: "PerGB2018" },
      retentionInDays: 30,
      customerId: known["customerId"] ?? randomUUID(),
      ...bodyProperties(work),
    };
    return { body: { ...work.body, location, properties }, finish: async () => undefined };
  },
};

function scopesOf({ scopes }: JsonObject): readonly string[] {
  return isList(scopes) ? scopes.filter((scope) => typeof scope === "string") : [];
}

function requireWorkspace(world: ArmWorld, path: string): void {
  if (world.find(path)?.type.type === workspaceType) return;
  throw new ArmError(404, "ResourceNotFound", `Resource '${path}' of type '${workspaceType}' was not found.`);
}

function requireResource(world: ArmWorld, path: string): void {
  if (world.find(path) !== undefined) return;
  throw new ArmError(404, "ResourceNotFound", `The Resource '${path}' was not found.`);
}

function requireActionGroups(world: ArmWorld, actions: unknown): void {
  const groups =
    typeof actions === "object" && actions !== null && "actionGroups" in actions ? actions.actionGroups : [];
  for (const group of Array.isArray(groups) ? (groups as unknown[]) : []) requireResource(world, String(group));
}
