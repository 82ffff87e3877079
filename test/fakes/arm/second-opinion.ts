/**
 * The second opinion: every body that the model has taken is held against the models that Azure's publisher ships for Python, so
 * that a misspelt property can't pass because our description shares the mistake. The packages are pinned, got from the package
 * registry by pip into the cache, and read as text; nothing of them runs.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory } from "../../../tools/cache-directory";
import { withLock } from "../../../tools/file-lock";
import type { RecordedBody } from "./arm-model";
import { isList, isObject, type Json } from "./shape";

const run = promisify(execFile);

/** `cached`: skip what is not in the cache yet. `required`: get it, and fail where it can't be had. */
export type SecondOpinionPolicy = "cached" | "required";

/** The newest of each; 6.0.2 of monitor is the last with diagnostic settings. */
const packages = [
  "azure-mgmt-authorization==4.0.0",
  "azure-mgmt-containerregistry==15.0.0",
  "azure-mgmt-containerservice==41.8.0",
  "azure-mgmt-keyvault==14.1.0",
  "azure-mgmt-loganalytics==14.0.0",
  "azure-mgmt-monitor==6.0.2",
  "azure-mgmt-monitor==7.0.0",
  "azure-mgmt-msi==7.1.0",
  "azure-mgmt-network==33.1.0",
  "azure-mgmt-privatedns==2.0.0",
  "azure-mgmt-resource==26.0.0",
] as const;

/** Which class describes the body of a PUT; of an action, `type#action`. */
const roots: Readonly<Record<string, readonly [module: string, name: string]>> = {
  "Microsoft.Resources/resourceGroups": ["resource/resources", "ResourceGroup"],
  "Microsoft.KeyVault/vaults": ["keyvault", "VaultCreateOrUpdateParameters"],
  "Microsoft.KeyVault/vaults#accesspolicies": ["keyvault", "VaultAccessPolicyParameters"],
  "Microsoft.KeyVault/vaults/keys": ["keyvault", "KeyCreateParameters"],
  "Microsoft.ManagedIdentity/userAssignedIdentities": ["msi/v2024_11_30", "Identity"],
  "Microsoft.Authorization/roleAssignments": ["authorization/v2022_04_01", "RoleAssignmentCreateParameters"],
  "Microsoft.Network/virtualNetworks": ["network", "VirtualNetwork"],
  "Microsoft.Network/virtualNetworks/subnets": ["network", "Subnet"],
  "Microsoft.Network/networkSecurityGroups": ["network", "NetworkSecurityGroup"],
  "Microsoft.Network/privateEndpoints": ["network", "PrivateEndpoint"],
  "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ["network", "PrivateDnsZoneGroup"],
  "Microsoft.Network/privateDnsZones": ["privatedns", "PrivateZone"],
  "Microsoft.Network/privateDnsZones/virtualNetworkLinks": ["privatedns", "VirtualNetworkLink"],
  "Microsoft.ContainerService/managedClusters": ["containerservice", "ManagedCluster"],
  "Microsoft.ContainerService/managedClusters#tags": ["containerservice", "TagsObject"],
  "Microsoft.ContainerService/managedClusters#runcommand": ["containerservice", "RunCommandRequest"],
  "Microsoft.Insights/diagnosticSettings": ["monitor/v2021_05_01_preview", "DiagnosticSettingsResource"],
  "Microsoft.Insights/scheduledQueryRules": ["monitor", "ScheduledQueryRuleResource"],
  "Microsoft.Insights/metricAlerts": ["monitor", "MetricAlertResource"],
  "Microsoft.Insights/actionGroups": ["monitor", "ActionGroupResource"],
  "Microsoft.OperationalInsights/workspaces": ["loganalytics", "Workspace"],
  "Microsoft.ContainerRegistry/registries": ["containerregistry", "Registry"],
};

/** Around every resource. GET gives them, and so a client that changes what it got sends them back. */
const envelope = new Set(["id", "name", "type", "systemData", "etag", "eTag"]);

type ModelType =
  | { readonly kind: "any" | "text" | "flag" | "integer" | "number" }
  | { readonly kind: "list" | "map"; readonly of: ModelType }
  | { readonly kind: "class"; readonly name: string }
  | { readonly kind: "inline"; readonly fields: ModelFields };

type ModelFields = Readonly<
  Record<string, { readonly type: ModelType; readonly readOnly: boolean; readonly required: boolean }>
>;

interface ModelClass {
  readonly bases: readonly string[];
  readonly fields: ModelFields;
  readonly subtypes: Readonly<Record<string, string>>;
}

interface ModelModule {
  readonly classes: Readonly<Record<string, ModelClass>>;
  readonly enums: Readonly<Record<string, readonly (string | number)[]>>;
}

export interface SecondOpinion {
  /** What is wrong with a body, by path; nothing for a type that no package describes. */
  problemsOf(body: Pick<RecordedBody, "type" | "body">): readonly string[];
}

let loaded: Promise<SecondOpinion> | undefined;

/** Undefined, under the policy `cached`, when the packages were never got on this machine. */
export async function loadSecondOpinion(policy: SecondOpinionPolicy): Promise<SecondOpinion | undefined> {
  const directory = join(cacheDirectory(), "azure-models");
  const file = join(directory, `${packages.map((entry) => entry.replace(/.*-|==/g, "")).join("-")}.json`);
  const read = async (): Promise<SecondOpinion> => createSecondOpinion(await readModels(file));
  if (loaded !== undefined) return loaded;
  if (policy === "cached") {
    try {
      return await (loaded = read());
    } catch (thrown) {
      loaded = undefined;
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw thrown;
    }
  }
  loaded = withLock(directory, async () => {
    try {
      return await read();
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
    }
    await install(directory, file);
    return read();
  });
  loaded.catch(() => (loaded = undefined));
  return loaded;
}

async function readModels(file: string): Promise<Readonly<Record<string, ModelModule>>> {
  return JSON.parse(await readFile(file, "utf8")) as Readonly<Record<string, ModelModule>>;
}

async function install(directory: string, file: string): Promise<void> {
  const wheels = join(directory, "wheels");
  process.stdout.write(`getting ${packages.length} packages with Azure's management models\n`);
  await mkdir(wheels, { recursive: true });
  const pip = (wanted: readonly string[]) =>
    run(
      "python3",
      ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", wheels, ...wanted],
      {
        timeout: 600_000,
      },
    );
  // Two versions of one package can't be asked for at once.
  await pip(packages.filter((entry) => entry !== "azure-mgmt-monitor==6.0.2"));
  await pip(["azure-mgmt-monitor==6.0.2"]);
  const script = join(__dirname, "publisher", "models.py");
  const { stdout } = await run("sh", ["-c", `exec python3 "$0" "$1"/*.whl`, script, wheels], {
    maxBuffer: 64 * 1024 * 1024,
  });
  await writeFile(`${file}.new`, stdout);
  await rename(`${file}.new`, file);
  await rm(wheels, { recursive: true });
}

/** Throws with all that is wrong with bodies that were taken. */
export async function checkBodies(bodies: readonly RecordedBody[], policy: SecondOpinionPolicy): Promise<void> {
  const taken = bodies.filter(({ refused }) => refused === undefined);
  if (taken.length === 0) return;
  const opinion = await loadSecondOpinion(policy);
  if (opinion === undefined) return;
  const problems = taken.flatMap((body) =>
    opinion.problemsOf(body).map((problem) => `${body.method} ${body.path}: ${problem}`),
  );
  if (problems.length > 0) {
    throw new Error(`the publisher's models do not have what these requests say:\n  ${problems.join("\n  ")}`);
  }
}

function createSecondOpinion(modules: Readonly<Record<string, ModelModule>>): SecondOpinion {
  return {
    problemsOf({ type, body: whole }) {
      const root = roots[type];
      if (root === undefined) return type.includes("#") ? [] : [`no package describes ${type}`];
      const [moduleName, name] = root;
      const module = modules[moduleName];
      if (module === undefined) return [`there is no module ${moduleName}`];
      const body = isObject(whole)
        ? Object.fromEntries(Object.entries(whole).filter(([field]) => !envelope.has(field)))
        : whole;
      return problemsOf(module, { kind: "class", name }, body, "");
    },
  };
}

function problemsOf(module: ModelModule, type: ModelType, value: Json, path: string): string[] {
  if (value === null) return [];
  const wrong = (what: string) => [`${path === "" ? "the body" : path} is no ${what}`];
  switch (type.kind) {
    case "any":
      return [];
    case "text":
      return typeof value === "string" ? [] : wrong("text");
    case "flag":
      return typeof value === "boolean" ? [] : wrong("Boolean");
    case "integer":
      return Number.isInteger(value) ? [] : wrong("integer");
    case "number":
      return typeof value === "number" ? [] : wrong("number");
    case "list":
      return isList(value)
        ? value.flatMap((entry, index) => problemsOf(module, type.of, entry, `${path}[${index}]`))
        : wrong("list");
    case "map":
      return isObject(value)
        ? Object.entries(value).flatMap(([name, entry]) => problemsOf(module, type.of, entry, `${path}.${name}`))
        : wrong("object");
    case "inline":
      return isObject(value) ? fieldProblems(module, type.fields, value, path) : wrong("object");
    case "class":
      return classProblems(module, type.name, value, path);
  }
}

function classProblems(module: ModelModule, name: string, value: Json, path: string): string[] {
  const values = module.enums[name];
  if (values !== undefined) {
    const said = typeof value === "string" ? value : JSON.stringify(value);
    const known = values.some((entry) => String(entry).toLowerCase() === said.toLowerCase());
    return known ? [] : [`${path} is '${said}', which ${name} does not have`];
  }
  if (module.classes[name] === undefined) return [`${path}: there is no class ${name}`];
  if (!isObject(value)) return [`${path === "" ? "the body" : path} is no object`];
  return fieldProblems(module, fieldsOf(module, subtypeOf(module, name, value)), value, path);
}

/** The class that the value says it is, of those below `name`. */
function subtypeOf(module: ModelModule, name: string, value: Readonly<Record<string, Json>>): string {
  const subtypes = module.classes[name]?.subtypes ?? {};
  const said = Object.values(value).find((entry) => typeof entry === "string" && entry in subtypes);
  const found = typeof said === "string" ? subtypes[said] : undefined;
  return found === undefined ? name : subtypeOf(module, found, value);
}

function fieldsOf(module: ModelModule, name: string): ModelFields {
  const own = module.classes[name];
  if (own === undefined) return {};
  return Object.assign({}, ...own.bases.map((base) => fieldsOf(module, base)), own.fields) as ModelFields;
}

function fieldProblems(
  module: ModelModule,
  fields: ModelFields,
  value: Readonly<Record<string, Json>>,
  path: string,
): string[] {
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const missing = Object.entries(fields)
    .filter(([name, field]) => field.required && value[name] === undefined)
    .map(([name]) => `${at(name)} is missing`);
  const present = Object.entries(value).flatMap(([name, entry]) => {
    const field = Object.hasOwn(fields, name) ? fields[name] : fields["*"];
    return field === undefined ? [`${at(name)} is unknown`] : problemsOf(module, field.type, entry, at(name));
  });
  return [...missing, ...present];
}
