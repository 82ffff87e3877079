/**
 * Which admission webhooks and policies have a say in a rewrite: those that match an update of the resource. Each sees the
 * object, may change it, and may refuse it, so a preview names them. Rules: apiserver plugin/webhook/predicates/rules and
 * admissionregistration.k8s.io/v1 (read at v1.36.3).
 */
import type { ResourceAdmission } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { itemsOf, type KubernetesList } from "./kubernetes-list";
import type { ServedResource } from "./resources";

interface Rule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly scope?: string;
}

type Webhooks = KubernetesList<{
  readonly webhooks?: readonly {
    readonly name: string;
    readonly failurePolicy?: string;
    readonly matchPolicy?: string;
    readonly rules?: readonly Rule[];
  }[];
}>;

type Policies = KubernetesList<{
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly matchConstraints?: { readonly matchPolicy?: string; readonly resourceRules?: readonly Rule[] };
  };
}>;

type Bindings = KubernetesList<{ readonly spec: { readonly policyName?: string } }>;

interface MatchedRule {
  readonly rule: Rule;
  readonly exactVersion: boolean;
}

/** What stands between the rewrite and the objects of each name; `served` says what the name stands for. */
export async function admissionOf(
  client: ApiClient,
  served: ReadonlyMap<string, readonly ServedResource[]>,
  signal: AbortSignal,
): Promise<readonly ResourceAdmission[]> {
  const [mutating, validating, policies] = await Promise.all([
    webhooks(client, "mutatingwebhookconfigurations", signal),
    webhooks(client, "validatingwebhookconfigurations", signal),
    boundPolicies(client, signal),
  ]);
  return [...served].map(([resource, parts]) => {
    const matching = (all: readonly Named[]) => [
      ...new Set(
        all
          .filter(({ rules }) => rules.some((rule) => parts.some((part) => matches(rule, part))))
          .map(({ name }) => name),
      ),
    ];
    return {
      resource,
      mutatingWebhooks: matching(mutating),
      validatingWebhooks: matching(validating),
      policies: matching(policies),
    };
  });
}

interface Named {
  readonly name: string;
  readonly rules: readonly MatchedRule[];
}

async function webhooks(client: ApiClient, plural: string, signal: AbortSignal): Promise<readonly Named[]> {
  const configurations = await client.get<Webhooks>(`${group}/v1/${plural}`, "application/json", signal);
  return itemsOf(configurations)
    .flatMap((item) => item.webhooks ?? [])
    .map(({ name, rules = [], matchPolicy, failurePolicy }) => ({
      name: failurePolicy === "Ignore" ? `${name} (ignored when it fails)` : name,
      rules: rules.map((rule) => ({ rule, exactVersion: matchPolicy === "Exact" })),
    }));
}

/** Policies without a binding do nothing. Servers before 1.30 have no validating ones, before 1.36 no mutating ones. */
async function boundPolicies(client: ApiClient, signal: AbortSignal): Promise<readonly Named[]> {
  const kinds = await Promise.all(
    ["validatingadmissionpolic", "mutatingadmissionpolic"].map(async (stem) => {
      const [policies, bindings] = await Promise.all([
        listIfServed<Policies>(client, `${group}/v1/${stem}ies`, signal),
        listIfServed<Bindings>(client, `${group}/v1/${stem}ybindings`, signal),
      ]);
      const bound = new Set(itemsOf(bindings).map(({ spec }) => spec.policyName));
      return itemsOf(policies).filter(({ metadata }) => bound.has(metadata.name));
    }),
  );
  return kinds.flat().map(({ metadata, spec }) => ({
    name: metadata.name,
    rules: (spec.matchConstraints?.resourceRules ?? []).map((rule) => ({
      rule,
      exactVersion: spec.matchConstraints?.matchPolicy === "Exact",
    })),
  }));
}

const group = "/apis/admissionregistration.k8s.io";

async function listIfServed<T extends KubernetesList<unknown>>(
  client: ApiClient,
  path: string,
  signal: AbortSignal,
): Promise<T> {
  const response = await client.send({ method: "GET", path }, signal);
  // 404 says that this server has no such kind; anything else is asked for again, and then told.
  if (response.status === 404) return {} as T;
  return response.status === 200 ? (JSON.parse(response.body) as T) : client.get<T>(path, "application/json", signal);
}

/** A PATCH is an UPDATE to admission. A rule for another version matches too, unless it asks for exactly that one. */
function matches({ rule, exactVersion }: MatchedRule, resource: ServedResource): boolean {
  const has = (list: readonly string[] | undefined, value: string) =>
    (list ?? []).some((entry) => entry === "*" || entry === value);
  const version = resource.base.slice(resource.base.lastIndexOf("/") + 1);
  return (
    has(rule.operations, "UPDATE") &&
    has(rule.apiGroups, resource.group) &&
    (!exactVersion || has(rule.apiVersions, version)) &&
    (rule.resources ?? []).some((entry) => matchesPlural(entry, resource.plural)) &&
    has([rule.scope ?? "*"], resource.namespaced ? "Namespaced" : "Cluster")
  );
}

/** `plural`, `*`, or either with `/*` behind it; `plural/status` is for subresources, which are not stored. */
function matchesPlural(entry: string, plural: string): boolean {
  const [name, subresource = ""] = entry.split("/");
  return (name === "*" || name === plural) && (subresource === "" || subresource === "*");
}
