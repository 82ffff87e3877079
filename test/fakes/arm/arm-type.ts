/** What the model asks of a resource type, and what it offers to it. */
import type { Access } from "./access";
import type { Caller } from "./caller";
import type { Directory } from "./directory";
import type { KeyVaults } from "./key-vaults";
import type { KmsClusters } from "./kms-cluster";
import type { ResourceId } from "./resource-id";
import type { Fields, Json, JsonObject, Shape } from "./shape";

export interface StoredResource {
  /** As it was written when it was made. */
  readonly path: string;
  readonly id: ResourceId;
  readonly type: ArmType;
  /** All but `id`, `name` and `type`. */
  body: JsonObject;
  etag: string;
  /** The operation under way, if there is one. */
  busy: string | undefined;
  /** What only the model needs to know. */
  memory: Record<string, unknown>;
}

/** The part of the model that resource types work with. */
export interface ArmWorld {
  readonly access: Access;
  readonly directory: Directory;
  readonly keyVaults: KeyVaults;
  readonly kmsClusters: KmsClusters;
  now(): number;
  tenantOf(subscription: string): string;
  find(path: string): StoredResource | undefined;
  /** Resources of a type, at or below a path. */
  list(type: string, within: string): readonly StoredResource[];
  /** Makes one without a request, as a provider does for its own parts, or changes one. */
  store(path: string, body: JsonObject): StoredResource;
  /** Takes one away with all below it and on it. */
  remove(path: string): void;
}

export interface Work {
  readonly world: ArmWorld;
  readonly id: ResourceId;
  readonly caller: Caller;
  readonly apiVersion: string;
  /** Throws LinkedAuthorizationFailed when the caller may not do this with another resource. */
  requireLinked(action: string, scope: string): void;
}

export interface PutWork extends Work {
  /** Checked against the shape, without what is read-only. */
  readonly body: JsonObject;
  readonly before: StoredResource | undefined;
}

export interface ResourceWork extends Work {
  readonly resource: StoredResource;
}

export interface PutOutcome {
  readonly body: JsonObject;
  readonly memory?: Record<string, unknown>;
  /** What goes on after the answer. The resource is `Creating` or `Updating` until then, and `Failed` when it throws ArmError. */
  readonly finish?: (resource: StoredResource) => Promise<void>;
}

/** An action by POST, or a PUT below the resource that is no resource of its own. */
export interface ActionWork extends ResourceWork {
  readonly body: Json | undefined;
}

export interface ActionAnswer {
  readonly status: number;
  readonly body?: Json;
  /** Followed by `Location`: what is there when it is done. */
  readonly later?: { readonly location: string; readonly result: Promise<Json> };
  /** Followed by `Azure-AsyncOperation`, while the resource is busy. */
  readonly operation?: () => Promise<void>;
}

export interface ArmType {
  readonly type: string;
  readonly apiVersions: readonly string[];
  readonly shape: Shape & { readonly fields: Fields };
  /** What its name must look like. */
  readonly name?: RegExp;
  /** The property that carries the ETag; types without it do not look at If-Match. */
  readonly etag?: "eTag" | "etag";
  /** Errors of the provider itself come without the `error` object around them. */
  readonly bareErrors?: true;
  /** PUT and DELETE go on after the answer. */
  readonly longRunning?: true;
  /** May stand on any resource, group or subscription. */
  readonly extension?: true;
  /** Not deleted by ARM, only by the data plane. */
  readonly noDelete?: true;
  /** PATCH takes tags alone. */
  readonly patchTags?: true;
  put(work: PutWork): PutOutcome;
  /** What another system keeps of it altogether, where no request has made it. */
  found?(id: ResourceId, world: ArmWorld): JsonObject | undefined;
  /** What it is now, where another system keeps a part of it. */
  view?(resource: StoredResource, world: ArmWorld): JsonObject;
  /** Throws when it may not go; takes with it what goes with it. */
  delete?(work: ResourceWork): void;
  /** What goes on after the answer to DELETE. */
  finishDelete?(work: ResourceWork): Promise<void>;
  /** What goes with it, however it went: by itself, or with its parent or its group. */
  removed?(resource: StoredResource, world: ArmWorld): void;
  /** By lower-case name, of POST and of PUT on `path/name`; `name/argument` is given by its first part. */
  readonly actions?: Readonly<Record<string, (work: ActionWork, argument: string) => ActionAnswer>>;
  /** Which permission an action needs, where it is not `<type>/<action>/action`. */
  readonly actionPermissions?: Readonly<Record<string, string>>;
}
