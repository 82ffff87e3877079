/** Managed clusters: what AKS fills in, what it refuses, and the actions on a cluster. */
import { randomUUID } from "node:crypto";
import { ArmError } from "../arm-error";
import type { ActionWork, ArmType, PutWork, StoredResource } from "../arm-type";
import { at, isList, isObject, type JsonObject, textAt } from "../shape";
import { bodyProperties, keeping, propertiesOf, regionOf } from "./common";
import { applyKms, disconnect, keepKms, useKeyOf } from "./kms-changes";
import { minorOf, requireValidKms } from "./kms-rules";
import { clusterApiVersions, clusterType, managedClusterShape } from "./managed-cluster-shape";
import { prefixLength } from "./subnet-addresses";
import { enterSubnet, leaveSubnet } from "./virtual-networks";

const newestVersion = "1.34.2";
const oldestVersion = 25;

export const managedClusters: ArmType = {
  type: clusterType,
  apiVersions: clusterApiVersions,
  name: /^[a-zA-Z0-9](?:[-\w]{0,61}[a-zA-Z0-9])?$/,
  etag: "eTag",
  bareErrors: true,
  longRunning: true,
  patchTags: true,
  shape: managedClusterShape,
  put(work) {
    const { body, before, world, id } = work;
    const location = regionOf(clusterType, body["location"]);
    const known = propertiesOf(before);
    const identity = identityOf(work);
    const properties = keepKms(known, complete(work, bodyProperties(work), known, location));
    requireVersion(textAt(properties, "kubernetesVersion"), textAt(known, "kubernetesVersion"));
    requirePools(properties);
    requireIntegration(work, properties, known, identity);
    requireValidKms(work, properties, identity);
    const fqdn = textAt(properties, "fqdn");
    return {
      body: {
        ...body,
        location,
        identity,
        sku: body["sku"] ?? before?.body["sku"] ?? { name: "Base", tier: "Free" },
        properties,
      },
      async finish(cluster) {
        if (world.kmsClusters.of(id.path) === undefined) {
          world.kmsClusters.open({ id: id.path, fqdn, useKey: useKeyOf(world) });
        }
        await applyKms(world, cluster);
        const now = propertiesOf(cluster);
        cluster.body = {
          ...cluster.body,
          properties: {
            ...now,
            currentKubernetesVersion: fullVersion(textAt(now, "kubernetesVersion")),
            powerState: { code: "Running" },
          },
        };
      },
    };
  },
  async finishDelete({ resource, world }) {
    await world.kmsClusters.close(resource.path);
  },
  removed(resource, world) {
    void world.kmsClusters.close(resource.path);
    disconnect(world, resource);
    for (const subnet of subnetsOf(propertiesOf(resource))) leaveSubnet(world, subnet, resource.path);
  },
  actions: {
    runcommand: runCommand,
    listclusterusercredential: credentials("clusterUser"),
    listclusteradmincredential(work) {
      if (propertiesOf(work.resource)["disableLocalAccounts"] === true) {
        throw new ArmError(
          400,
          "BadRequest",
          "Getting static credential is not allowed because this cluster is set to disable local accounts.",
        );
      }
      return credentials("clusterAdmin")(work);
    },
    stop: (work) => power(work, "Stopped"),
    start: (work) => power(work, "Running"),
  },
};

function identityOf({ body, before, world, id, requireLinked }: PutWork): JsonObject {
  const asked = isObject(body["identity"])
    ? body["identity"]
    : isObject(before?.body["identity"])
      ? before.body["identity"]
      : {};
  const type = textAt(asked, "type") || "None";
  const assigned = isObject(asked["userAssignedIdentities"]) ? Object.keys(asked["userAssignedIdentities"]) : [];
  if (type !== "UserAssigned") {
    const known = textAt(before?.body["identity"], "principalId");
    return type === "SystemAssigned"
      ? { type, principalId: known || randomUUID(), tenantId: world.tenantOf(id.subscription) }
      : { type };
  }
  if (assigned.length !== 1) {
    throw new ArmError(
      400,
      "InvalidParameter",
      `Exactly one user-assigned identity is allowed; there are ${assigned.length}.`,
    );
  }
  const [path = ""] = assigned;
  const identity = world.find(path);
  if (identity === undefined) {
    throw new ArmError(400, "InvalidParameter", `The user-assigned identity '${path}' was not found.`);
  }
  requireLinked("Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", path);
  const { principalId = "", clientId = "" } = propertiesOf(identity);
  return { type, userAssignedIdentities: { [identity.path]: { principalId, clientId } } };
}

/** With what AKS sets by itself, and keeps when a PUT leaves it out. */
function complete({ id, world }: PutWork, asked: JsonObject, known: JsonObject, location: string): JsonObject {
  const name = id.names[0] ?? "";
  const kept = keeping(
    known,
    asked,
    ...[
      "dnsPrefix",
      "fqdnSubdomain",
      "nodeResourceGroup",
      "kubernetesVersion",
      "enableRBAC",
      "networkProfile",
      "linuxProfile",
    ],
    ...[
      "agentPoolProfiles",
      "fqdn",
      "azurePortalFQDN",
      "resourceUID",
      "currentKubernetesVersion",
      "powerState",
      "servicePrincipalProfile",
    ],
  );
  const prefix = textAt(kept, "dnsPrefix") || textAt(kept, "fqdnSubdomain");
  if (prefix === "") throw new ArmError(400, "InvalidParameter", "Required parameter dnsPrefix is missing (null).");
  const fqdn = textAt(known, "fqdn") || `${prefix}-${randomUUID().slice(0, 8)}.hcp.${location}.azmk8s.io`;
  const oidc = kept["oidcIssuerProfile"];
  return {
    nodeResourceGroup: `MC_${id.resourceGroup}_${name}_${location}`,
    enableRBAC: true,
    kubernetesVersion: newestVersion,
    maxAgentPools: 100,
    servicePrincipalProfile: { clientId: "msi" },
    supportPlan: "KubernetesOfficial",
    networkProfile: {
      networkPlugin: "azure",
      networkPluginMode: "overlay",
      loadBalancerSku: "standard",
      outboundType: "loadBalancer",
    },
    fqdn,
    azurePortalFQDN: fqdn.replace(".hcp.", ".portal.hcp."),
    resourceUID: randomUUID().replaceAll("-", ""),
    ...kept,
    oidcIssuerProfile:
      at(oidc, "enabled") === true
        ? {
            enabled: true,
            issuerURL: `https://${location}.oic.prod-aks.azure.com/${world.tenantOf(id.subscription)}/${name}/`,
          }
        : { enabled: false },
  };
}

function requireVersion(wanted: string, known: string): void {
  const [next, before] = [minorOf(wanted), minorOf(known)];
  if (next < oldestVersion || next > minorOf(newestVersion)) {
    throw new ArmError(
      400,
      "K8sVersionNotSupported",
      `Managed cluster version '${wanted}' is not supported in this region.`,
    );
  }
  if (known === "") return;
  if (next < before)
    throw new ArmError(
      400,
      "OperationNotAllowed",
      `Downgrading the cluster from ${known} to ${wanted} is not allowed.`,
    );
  if (next > before + 1) {
    throw new ArmError(
      400,
      "OperationNotAllowed",
      `Upgrading Kubernetes version ${known} to ${wanted} is not allowed: it would skip a minor version.`,
    );
  }
}

function requirePools(properties: JsonObject): void {
  const pools = isList(properties["agentPoolProfiles"]) ? properties["agentPoolProfiles"] : [];
  if (!pools.some((pool) => textAt(pool, "mode") === "System")) {
    throw new ArmError(400, "InvalidParameter", "There must be at least one agent pool of mode System.");
  }
}

/** API Server VNet Integration: facts/aks.md 1.4, and D2r, D3r, D4r of section 4. */
function requireIntegration(work: PutWork, properties: JsonObject, known: JsonObject, identity: JsonObject): void {
  const integrated = at(properties, "apiServerAccessProfile", "enableVnetIntegration") === true;
  const was = at(known, "apiServerAccessProfile", "enableVnetIntegration") === true;
  const bad = (message: string, code = "BadRequest") => new ArmError(400, code, message);
  if (was && !integrated) throw bad("API Server VNet Integration can't be disabled.", "PropertyChangeNotAllowed");
  for (const subnet of subnetsOf(properties)) enterSubnet(work, subnet);
  if (!integrated) return;
  const subnetId = textAt(properties, "apiServerAccessProfile", "subnetId");
  const nodeSubnets = nodeSubnetsOf(properties);
  if (subnetId === "") {
    if (nodeSubnets.length > 0)
      throw bad("apiServerAccessProfile.subnetId is required with a virtual network of your own.");
    return;
  }
  if (nodeSubnets.some((path) => path.toLowerCase() === subnetId.toLowerCase())) {
    throw bad("The API server subnet can't be used by node pools.");
  }
  const subnet = propertiesOf(work.world.find(subnetId));
  const delegated = (isList(subnet["delegations"]) ? subnet["delegations"] : []).some(
    (delegation) => textAt(delegation, "properties", "serviceName") === clusterType,
  );
  const [first = ""] = isList(subnet["addressPrefixes"]) ? subnet["addressPrefixes"] : [];
  const length = prefixLength(textAt(subnet, "addressPrefix") || (typeof first === "string" ? first : ""));
  if (!delegated || (length ?? 28) > 28) {
    throw bad(`The API server subnet must be delegated to ${clusterType}, and /28 or larger.`);
  }
  const [principal] = Object.values(
    isObject(identity["userAssignedIdentities"]) ? identity["userAssignedIdentities"] : {},
  );
  const principalId = textAt(principal, "principalId");
  const join = "Microsoft.Network/virtualNetworks/subnets/join/action";
  if (principalId !== "" && !work.world.access.isAllowed(principalId, join, subnetId)) {
    throw bad(
      `The cluster's identity does not have permission to perform '${join}' on '${subnetId}'.`,
      "LinkedAuthorizationFailed",
    );
  }
}

function nodeSubnetsOf(properties: JsonObject): readonly string[] {
  const pools = isList(properties["agentPoolProfiles"]) ? properties["agentPoolProfiles"] : [];
  return [...new Set(pools.map((pool) => textAt(pool, "vnetSubnetID")).filter((path) => path !== ""))];
}

function subnetsOf(properties: JsonObject): readonly string[] {
  const own = textAt(properties, "apiServerAccessProfile", "subnetId");
  return [...nodeSubnetsOf(properties), ...(own === "" ? [] : [own])];
}

function fullVersion(version: string): string {
  return version.split(".").length === 2 ? `${version}.2` : version;
}

function credentials(name: string) {
  return ({ resource, world }: ActionWork) => ({
    status: 200,
    body: {
      kubeconfigs: [
        { name, value: Buffer.from(world.kmsClusters.of(resource.path)?.kubeconfig() ?? "").toString("base64") },
      ],
    },
  });
}

/** `az aks command invoke`: accepted at once, and its result is at another place when it is there. */
function runCommand({ resource, world, body }: ActionWork) {
  requireSucceeded(resource);
  if (at(propertiesOf(resource), "apiServerAccessProfile", "disableRunCommand") === true) {
    throw new ArmError(403, "RunCommandDisabled", "Run command feature is disabled on the cluster.");
  }
  const known = ["command", "context", "clusterToken"];
  const extra = Object.keys(isObject(body) ? body : {}).find((name) => !known.includes(name));
  if (extra !== undefined)
    throw new ArmError(400, "UnmarshalError", `UnmarshalEntity encountered error: json: unknown field "${extra}".`);
  const command = textAt(body, "command");
  if (command === "") throw new ArmError(400, "InvalidParameter", "Required parameter command is missing (null).");
  const cluster = world.kmsClusters.of(resource.path);
  if (cluster === undefined) throw new ArmError(409, "OperationNotAllowed", "The cluster is not running.");
  const context = textAt(body, "context");
  const name = randomUUID().replaceAll("-", "");
  const startedAt = new Date(world.now()).toISOString();
  const run = async () => {
    const base = { id: name, properties: { startedAt } };
    try {
      const { exitCode, logs } = await cluster.run(
        command,
        context === "" ? undefined : Buffer.from(context, "base64"),
      );
      const finishedAt = new Date(world.now()).toISOString();
      return { ...base, properties: { startedAt, finishedAt, exitCode, logs, provisioningState: "Succeeded" } };
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      return { ...base, properties: { startedAt, provisioningState: "Failed", reason } };
    }
  };
  return { status: 202, later: { location: `${resource.path}/commandResults/${name}`, result: run() } };
}

function power(work: ActionWork, code: "Running" | "Stopped") {
  const { resource } = work;
  if (resource.busy !== undefined) {
    throw new ArmError(
      409,
      "OperationNotAllowed",
      "Operation is not allowed: Another operation is in progress, please wait for it to finish before starting a new operation.",
    );
  }
  return {
    status: 202,
    operation: async () => {
      resource.body = { ...resource.body, properties: { ...propertiesOf(resource), powerState: { code } } };
    },
  };
}

function requireSucceeded(resource: StoredResource): void {
  if (textAt(propertiesOf(resource), "powerState", "code") === "Stopped") {
    throw new ArmError(409, "OperationNotAllowed", "The cluster is stopped.");
  }
}
