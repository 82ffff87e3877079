/** ARM's paths, taken apart: `/subscriptions/S/resourceGroups/G/providers/N/T/name/T2/name2`, and resources on other resources. */

export interface ResourceId {
  readonly path: string;
  readonly subscription: string;
  readonly resourceGroup: string;
  /** `Microsoft.KeyVault/vaults/keys`; `Microsoft.Resources/resourceGroups` for a resource group. */
  readonly type: string;
  /** Of each level: `["myvault", "mykey"]`. */
  readonly names: readonly string[];
  /** The resource above: of a key its vault, of a role assignment what it is on, of others their resource group. */
  readonly parent: string;
  /** What follows the names, where the path does not end with a name: a collection's type or an action. */
  readonly rest: string;
}

export const resourceGroupType = "Microsoft.Resources/resourceGroups";

/** Undefined for what is no path of ARM's. A path that ends with a type, not with a name, has that type in `rest`. */
export function parseResourceId(path: string): ResourceId | undefined {
  const segments = path.split("/").filter((segment) => segment !== "");
  if (segments[0]?.toLowerCase() !== "subscriptions" || segments[1] === undefined) return undefined;
  const subscription = segments[1];
  const group = segments[2]?.toLowerCase() === "resourcegroups" ? (segments[3] ?? "") : "";
  const provider = segments.findLastIndex((segment) => segment.toLowerCase() === "providers");
  const common = { path: `/${segments.join("/")}`, subscription, resourceGroup: group };
  if (provider === -1) {
    return {
      ...common,
      type: group === "" && segments.length === 2 ? "Microsoft.Resources/subscriptions" : resourceGroupType,
      names: group === "" ? [] : [group],
      parent: `/subscriptions/${subscription}`,
      rest: group === "" ? segments.slice(2).join("/") : segments.slice(4).join("/"),
    };
  }
  const namespace = segments[provider + 1] ?? "";
  const tail = segments.slice(provider + 2);
  const scope = `/${segments.slice(0, provider).join("/")}`;
  const pairs = Math.floor(tail.length / 2);
  const types = tail.filter((_, index) => index % 2 === 0 && index < pairs * 2);
  const names = tail.filter((_, index) => index % 2 === 1);
  return {
    ...common,
    type: [namespace, ...types].join("/"),
    names,
    parent: pairs <= 1 ? scope : `${scope}/providers/${namespace}/${tail.slice(0, pairs * 2 - 2).join("/")}`,
    rest: tail.length % 2 === 1 ? (tail.at(-1) ?? "") : "",
  };
}

/** Paths are compared without regard to case. */
export function samePath(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}

/** Whether `path` is `scope` or below it. */
export function isWithin(path: string, scope: string): boolean {
  const [inner, outer] = [path.toLowerCase(), scope.toLowerCase().replace(/\/$/, "")];
  return inner === outer || inner.startsWith(`${outer}/`);
}
