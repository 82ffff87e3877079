/**
 * Azure Resource Manager as the tests have it: one model with two doors, the REST door (rest-door.ts) for ARM clients, and the
 * stand-in for Pulumi's azure-native plugin (test/fakes/azure-native), which comes in through the first. It is strict: what it
 * does not know it refuses, so that a program can't get used to more than there is. Where each rule is from:
 *   - types, properties, required and read-only: the publisher's Python models (PyPI azure-mgmt-*, named in second-opinion.ts),
 *     which also check every body a second time, and the types of @pulumi/azure-native 3.28.0;
 *   - AKS and its KMS settings, role ids, delays, soft delete, keys that ARM only creates: facts/aks.md, sections 1.1-1.9 and 5.
 *     Messages of section 1.3 are word for word; the other errors of AKS have its codes, and words of ours;
 *   - ARM's own refusals (tokens, api-version, AuthorizationFailed, RoleAssignmentExists, ResourceNotFound, 409, 412, 429): the
 *     publisher's list of common deployment errors; words may differ in detail, codes and status should not;
 *   - that a property left out of a PUT is gone afterwards, save azureKeyVaultKms and what the service has set, is stricter
 *     than AKS is known to be: it shows a client that drops what it does not know.
 */
import { randomUUID } from "node:crypto";
import { type Access, createAccess } from "./access";
import { ArmError, authorizationFailed, linkedAuthorizationFailed, resourceGroupNotFound } from "./arm-error";
import { type ArmAnswer, type ArmRequest, answerOf, apiVersionOf, parseJson } from "./arm-request";
import {
  armsOwn,
  checkedBody,
  etagHeader,
  methodNotAllowed,
  notFound,
  permissionOf,
  requireIdle,
  requirePreconditions,
  requireSame,
  requireVersion,
  typeOf,
  unknownType,
  withState,
} from "./arm-rules";
import type { ActionAnswer, ArmType, ArmWorld, StoredResource, Work } from "./arm-type";
import { createDirectory, type Directory } from "./directory";
import type { KeyVaults } from "./key-vaults";
import type { KmsClusters } from "./kms-cluster";
import { createOperations, type Operations, operationBody } from "./operations";
import { parseResourceId, type ResourceId, resourceGroupType } from "./resource-id";
import { createResourceStore, type ResourceStore } from "./resource-store";
import { isObject, type Json, type JsonObject, readBody, textAt, visible } from "./shape";
import { armTypes } from "./types/index";

/** A body that came in by a request, for the second opinion. */
export interface RecordedBody {
  readonly method: string;
  readonly path: string;
  /** The resource's type, with the action behind it for what is no resource. */
  readonly type: string;
  readonly apiVersion: string;
  readonly body: Json;
  /** Why it was refused, by code; undefined when it was taken. */
  refused: string | undefined;
}

export interface ArmModel
  extends Pick<ArmWorld, "access" | "directory" | "keyVaults" | "kmsClusters" | "find" | "list" | "store"> {
  readonly access: Access;
  readonly directory: Directory;
  readonly operations: Operations;
  readonly bodies: readonly RecordedBody[];
  /** How many entries a page of a list has. */
  pageSize: number;
  addSubscription(tenantId: string, id?: string): string;
  /** The next `times` requests that match are answered with this error. */
  failNext(error: ArmError, matches?: (request: ArmRequest) => boolean, times?: number): void;
  handle(request: ArmRequest): ArmAnswer;
  close(): Promise<void>;
}

export interface ArmModelOptions {
  readonly now: () => number;
  readonly keyVaults: (world: () => ArmWorld) => KeyVaults;
  readonly kmsClusters: KmsClusters;
  readonly origin?: string;
}

export function createArmModel(options: ArmModelOptions): ArmModel {
  const { now } = options;
  const origin = options.origin ?? "https://management.azure.com";
  const tenants = new Map<string, string>();
  const access = createAccess(now);
  const directory = createDirectory(now);
  const operations = createOperations(now);
  const store: ResourceStore = createResourceStore();
  const bodies: RecordedBody[] = [];
  const faults: { error: ArmError; matches: (request: ArmRequest) => boolean; left: number }[] = [];
  const results = new Map<string, { value: Json | undefined }>();
  const world: ArmWorld = {
    access,
    directory,
    kmsClusters: options.kmsClusters,
    keyVaults: options.keyVaults(() => world),
    now,
    tenantOf: (subscription) => tenants.get(subscription.toLowerCase()) ?? "",
    find: store.find,
    list: store.list,
    store: (path, body) => {
      const id = parseResourceId(path);
      const type = id && typeOf(id.type);
      if (id === undefined || type === undefined) throw new Error(`${path} is no path of a known resource`);
      return store.put(id, type, body);
    },
    remove(path) {
      for (const resource of store.remove(path)) resource.type.removed?.(resource, world);
    },
  };

  const model: ArmModel = {
    ...world,
    operations,
    bodies,
    pageSize: 100,
    addSubscription(tenantId, id = randomUUID()) {
      tenants.set(id.toLowerCase(), tenantId);
      return id;
    },
    failNext: (error, matches = () => true, times = 1) => void faults.push({ error, matches, left: times }),
    handle(request) {
      const id = parseResourceId(request.path);
      try {
        const fault = faults.find((candidate) => candidate.left > 0 && candidate.matches(request));
        if (fault !== undefined) {
          fault.left -= 1;
          throw fault.error;
        }
        return dispatch(request, id);
      } catch (thrown) {
        if (!(thrown instanceof ArmError)) throw thrown;
        // ARM's own refusals never come in the provider's form.
        const bare = id !== undefined && typeOf(id.type)?.bareErrors === true && !armsOwn.has(thrown.code);
        return answerOf(thrown.status, thrown.body(bare), {
          "x-ms-failure-cause": bare ? "service" : "gateway",
          ...thrown.headers,
        });
      }
    },
    async close() {
      operations.close();
      await Promise.all(
        store
          .list("Microsoft.ContainerService/managedClusters", "/")
          .map(({ path }) => options.kmsClusters.close(path)),
      );
    },
  };

  function dispatch(request: ArmRequest, id: ResourceId | undefined): ArmAnswer {
    const apiVersion = apiVersionOf(request.query);
    if (id === undefined) throw new ArmError(404, "NotFound", `There is nothing at '${request.path}'.`);
    const tenantId = tenants.get(id.subscription.toLowerCase());
    if (tenantId === undefined) {
      throw new ArmError(404, "SubscriptionNotFound", `The subscription '${id.subscription}' could not be found.`);
    }
    if (tenantId !== request.caller.tenantId) {
      throw new ArmError(
        401,
        "InvalidAuthenticationTokenTenant",
        `The access token is from the wrong issuer. It must match the tenant '${tenantId}' associated with this subscription.`,
      );
    }
    const result = results.get(request.path.toLowerCase());
    if (result !== undefined && request.method === "GET") {
      return result.value === undefined
        ? answerOf(202, undefined, { location: urlOf(request.path, apiVersion), "retry-after": retryAfter() })
        : answerOf(200, result.value);
    }
    if (/\/operation(s|results)$/i.test(id.type)) return followOperation(request, id);
    if (!id.type.includes("/") && id.rest === "" && request.method === "GET") return providerOf(request, id);
    const type = typeOf(id.type);
    const parentType = typeOf(id.type.split("/").slice(0, -1).join("/"));
    const lastType = (id.type.split("/").at(-1) ?? "").toLowerCase();
    if (type === undefined && parentType?.actions?.[lastType] !== undefined) {
      return act(request, parentType, apiVersion, id, lastType, id.names.at(-1) ?? "", id.parent);
    }
    if (id.rest !== "" || (id.type === resourceGroupType && id.names.length === 0)) {
      if (type?.actions?.[id.rest.toLowerCase()] !== undefined && request.method === "POST") {
        return act(request, type, apiVersion, id, id.rest.toLowerCase(), "", request.path.replace(/\/[^/]*$/, ""));
      }
      return collection(request, id, apiVersion);
    }
    if (type === undefined) throw unknownType(id);
    requireVersion(type, apiVersion);
    return onResource(request, type, id, apiVersion);
  }

  /** A resource provider, with the versions of the API for each of its types. */
  function providerOf(request: ArmRequest, id: ResourceId): ArmAnswer {
    requireAllowed(request, "Microsoft.Resources/subscriptions/providers/read", `/subscriptions/${id.subscription}`);
    const types = [...armTypes.values()].filter(({ type }) =>
      type.toLowerCase().startsWith(`${id.type.toLowerCase()}/`),
    );
    if (types.length === 0) throw unknownType(id);
    const resourceTypes = types.map(({ type, apiVersions }) => ({
      resourceType: type.slice(id.type.length + 1),
      apiVersions,
    }));
    return answerOf(200, { id: request.path, namespace: id.type, registrationState: "Registered", resourceTypes });
  }

  function onResource(request: ArmRequest, type: ArmType, id: ResourceId, apiVersion: string): ArmAnswer {
    const verbs: Readonly<Record<string, string>> = {
      GET: "read",
      HEAD: "read",
      PUT: "write",
      PATCH: "write",
      DELETE: "delete",
    };
    const verb = verbs[request.method];
    if (verb === undefined) throw methodNotAllowed(request);
    const action = `${permissionOf(type)}/${verb}`;
    requireAllowed(request, action, request.path);
    requireParent(id, verb);
    const resource = store.find(request.path) ?? foundElsewhere(type, id);
    const work = { ...workOf(request, id, apiVersion, action), type };
    switch (request.method) {
      case "PUT":
        return put(request, type, work, resource);
      case "PATCH":
        return patch(request, type, work, resource);
      case "DELETE":
        return remove(request, type, work, resource);
      default:
        if (resource === undefined) throw notFound(id);
        return answerOf(
          200,
          request.method === "HEAD" ? undefined : bodyOf(resource, apiVersion),
          etagHeader(resource),
        );
    }
  }

  function foundElsewhere(type: ArmType, id: ResourceId): StoredResource | undefined {
    const body = type.found?.(id, world);
    return body === undefined ? undefined : { path: id.path, id, type, body, etag: "", busy: undefined, memory: {} };
  }

  function put(request: ArmRequest, type: ArmType, work: Work, before: StoredResource | undefined): ArmAnswer {
    const recorded = record(request, type.type, work.apiVersion);
    try {
      const name = work.id.names.at(-1) ?? "";
      if (before === undefined && type.name !== undefined && !type.name.test(name)) {
        throw new ArmError(
          400,
          "InvalidResourceName",
          `The name '${name}' is not valid for a resource of type '${type.type}'.`,
        );
      }
      const body = checkedBody(type, recorded.body, work.apiVersion);
      requirePreconditions(type, request, before);
      requireIdle(before);
      if (before !== undefined) requireSame(type, before, body);
      const outcome = type.put({ ...work, body, before });
      const state = outcome.finish === undefined ? "Succeeded" : before === undefined ? "Creating" : "Updating";
      const resource = store.put(before?.id ?? work.id, type, withState(outcome.body, state, type));
      Object.assign(resource.memory, outcome.memory);
      const status = before === undefined ? 201 : 200;
      const { finish } = outcome;
      if (finish === undefined) return answerOf(status, bodyOf(resource, work.apiVersion), etagHeader(resource));
      const headers = start(work, resource, async () => {
        await finish(resource);
        return undefined;
      });
      return answerOf(status, bodyOf(resource, work.apiVersion), { ...etagHeader(resource), ...headers });
    } catch (thrown) {
      if (thrown instanceof ArmError) recorded.refused = thrown.code;
      throw thrown;
    }
  }

  function patch(request: ArmRequest, type: ArmType, work: Work, before: StoredResource | undefined): ArmAnswer {
    if (before === undefined) throw notFound(work.id);
    if (type.patchTags !== true) throw methodNotAllowed(request);
    const recorded = record(request, `${type.type}#tags`, work.apiVersion);
    requirePreconditions(type, request, before);
    requireIdle(before);
    const { body, problems } = readBody(
      { kind: "object", fields: { tags: type.shape.fields["tags"] ?? { kind: "json" } } },
      recorded.body,
      work.apiVersion,
    );
    if (problems[0] !== undefined) {
      recorded.refused = "InvalidRequestContent";
      throw new ArmError(400, "InvalidRequestContent", `${problems[0].path}: ${problems[0].reason}`);
    }
    store.put(before.id, type, { ...before.body, ...(isObject(body) ? body : {}) });
    return answerOf(200, bodyOf(before, work.apiVersion), etagHeader(before));
  }

  function remove(request: ArmRequest, type: ArmType, work: Work, resource: StoredResource | undefined): ArmAnswer {
    if (type.noDelete === true) throw methodNotAllowed(request);
    if (resource === undefined) return answerOf(204);
    requirePreconditions(type, request, resource);
    requireIdle(resource);
    const resourceWork = { ...work, resource };
    type.delete?.(resourceWork);
    if (type.longRunning !== true) {
      world.remove(resource.path);
      return answerOf(200);
    }
    resource.body = withState(resource.body, "Deleting", type);
    const headers = start(work, resource, async () => {
      await type.finishDelete?.(resourceWork);
      world.remove(resource.path);
      return undefined;
    });
    return answerOf(202, undefined, headers);
  }

  function act(
    request: ArmRequest,
    type: ArmType,
    apiVersion: string,
    id: ResourceId,
    name: string,
    argument: string,
    path: string,
  ): ArmAnswer {
    requireVersion(type, apiVersion);
    const action = type.actionPermissions?.[name] ?? `${type.type}/${name}/action`;
    requireAllowed(request, action, path);
    const resource = store.find(path);
    if (resource === undefined) throw notFound(parseResourceId(path) ?? id);
    const handler = type.actions?.[name];
    if (handler === undefined || !["POST", "PUT"].includes(request.method)) throw methodNotAllowed(request);
    const recorded = request.body === "" ? undefined : record(request, `${type.type}#${name}`, apiVersion);
    try {
      const work = { ...workOf(request, resource.id, apiVersion, action), resource, body: recorded?.body };
      return actionAnswer(handler(work, argument), work, apiVersion);
    } catch (thrown) {
      if (thrown instanceof ArmError && recorded !== undefined) recorded.refused = thrown.code;
      throw thrown;
    }
  }

  function actionAnswer(
    answer: ActionAnswer,
    work: Work & { resource: StoredResource },
    apiVersion: string,
  ): ArmAnswer {
    if (answer.operation !== undefined) {
      const { operation } = answer;
      const headers = start(work, work.resource, async () => {
        await operation();
        return undefined;
      });
      return answerOf(answer.status, answer.body, headers);
    }
    if (answer.later === undefined) return answerOf(answer.status, answer.body);
    const { location, result } = answer.later;
    const entry: { value: Json | undefined } = { value: undefined };
    results.set(location.toLowerCase(), entry);
    operations.start(async () => (entry.value = await result));
    return answerOf(answer.status, answer.body, { location: urlOf(location, apiVersion), "retry-after": retryAfter() });
  }

  function collection(request: ArmRequest, id: ResourceId, apiVersion: string): ArmAnswer {
    if (request.method !== "GET") throw methodNotAllowed(request);
    const wanted = id.type === resourceGroupType && id.names.length === 0 ? resourceGroupType : `${id.type}/${id.rest}`;
    const type = typeOf(wanted) ?? typeOf(wanted.replace("/deletedVaults", "/locations/deletedVaults"));
    if (type === undefined) throw unknownType({ ...id, type: wanted });
    requireVersion(type, apiVersion);
    const within = id.names.length > 0 || id.rest === "" ? request.path.replace(/\/[^/]*$/, "") : id.parent;
    requireAllowed(request, `${permissionOf(type)}/read`, within);
    if (
      id.resourceGroup !== "" &&
      store.find(`/subscriptions/${id.subscription}/resourceGroups/${id.resourceGroup}`) === undefined
    ) {
      throw resourceGroupNotFound(id.resourceGroup);
    }
    const all =
      type.extension === true
        ? onScope(type, within, request.query.get("$filter") ?? "")
        : store.list(type.type, within);
    const from = Number(request.query.get("$skiptoken") ?? "0");
    const page = all.slice(from, from + model.pageSize);
    const next = from + model.pageSize < all.length;
    return answerOf(200, {
      value: page.map((resource) => bodyOf(resource, apiVersion)),
      ...(next ? { nextLink: `${urlOf(request.path, apiVersion)}&$skiptoken=${from + model.pageSize}` } : {}),
    });
  }

  /** What is on a scope, above it and below it; of `$filter` the two forms that clients use. */
  function onScope(type: ArmType, scope: string, filter: string): readonly StoredResource[] {
    const principal = /principalId eq '([^']+)'/.exec(filter)?.[1];
    return store
      .onScope(type.type, scope, filter.includes("atScope()"))
      .filter(
        ({ body }) =>
          principal === undefined || (isObject(body["properties"]) && body["properties"]["principalId"] === principal),
      );
  }

  function start(
    work: Work,
    resource: StoredResource,
    finish: () => Promise<Json | undefined>,
  ): Record<string, string> {
    const operation = operations.start(async () => {
      try {
        const result = await finish();
        resource.body = withState(resource.body, "Succeeded", resource.type);
        return result;
      } catch (thrown) {
        resource.body = withState(resource.body, "Failed", resource.type);
        throw thrown;
      } finally {
        resource.busy = undefined;
        resource.etag = randomUUID();
      }
    });
    resource.busy = operation.id;
    const place = textAt(resource.body, "location") || "global";
    const base = `/subscriptions/${work.id.subscription}/providers/${resource.type.type.split("/")[0] ?? ""}/locations/${place}`;
    return {
      "azure-asyncoperation": urlOf(`${base}/operations/${operation.id}`, work.apiVersion),
      location: urlOf(`${base}/operationresults/${operation.id}`, work.apiVersion),
      "retry-after": retryAfter(),
    };
  }

  function followOperation(request: ArmRequest, id: ResourceId): ArmAnswer {
    const operation = operations.find(id.names.at(-1) ?? "");
    if (operation === undefined)
      throw new ArmError(404, "OperationNotFound", `The operation '${id.names.at(-1) ?? ""}' was not found.`);
    const waiting = operation.status === "InProgress" ? { "retry-after": retryAfter() } : {};
    if (/\/operations$/i.test(id.type)) return answerOf(200, operationBody(operation), waiting);
    if (operation.status === "InProgress") {
      return answerOf(202, undefined, { ...waiting, location: urlOf(request.path, apiVersionOf(request.query)) });
    }
    if (operation.error !== undefined) throw operation.error;
    return answerOf(operation.result === undefined ? 204 : 200, operation.result);
  }

  function workOf(request: ArmRequest, id: ResourceId, apiVersion: string, action: string): Work {
    const { caller } = request;
    return {
      world,
      id,
      caller,
      apiVersion,
      requireLinked(linkedAction, scope) {
        if (access.isAllowed(caller.objectId, linkedAction, scope)) return;
        throw linkedAuthorizationFailed(caller.objectId, caller.clientId, action, request.path, linkedAction, scope);
      },
    };
  }

  function record(request: ArmRequest, type: string, apiVersion: string): RecordedBody {
    const body = parseJson(request);
    if (body === undefined) throw new ArmError(400, "MissingRequestBody", "The request must have a body.");
    const recorded: RecordedBody = {
      method: request.method,
      path: request.path,
      type,
      apiVersion,
      body,
      refused: undefined,
    };
    bodies.push(recorded);
    return recorded;
  }

  function requireAllowed({ caller }: ArmRequest, action: string, scope: string): void {
    if (!access.isAllowed(caller.objectId, action, scope)) {
      throw authorizationFailed(caller.objectId, caller.clientId, action, scope);
    }
  }

  function requireParent(id: ResourceId, verb: string): void {
    if (id.type === resourceGroupType) return;
    const group = `/subscriptions/${id.subscription}/resourceGroups/${id.resourceGroup}`;
    if (id.resourceGroup !== "" && store.find(group) === undefined) throw resourceGroupNotFound(id.resourceGroup);
    const parent = parseResourceId(id.parent);
    if (parent === undefined || parent.type === "Microsoft.Resources/subscriptions" || id.type.includes("/locations/"))
      return;
    if (store.find(id.parent) !== undefined) return;
    throw verb === "write" && id.names.length > 1
      ? new ArmError(
          404,
          "ParentResourceNotFound",
          `Failed to perform '${verb}' on resource(s) of type '${id.type.split("/").slice(1).join("/")}', because the parent resource '${id.parent}' could not be found.`,
        )
      : notFound(parent);
  }

  function bodyOf(resource: StoredResource, apiVersion: string): JsonObject {
    const { type } = resource;
    const seen = visible(type.shape, type.view?.(resource, world) ?? resource.body, apiVersion);
    return {
      id: resource.path,
      name: resource.id.names.at(-1) ?? "",
      type: type.type,
      ...(type.etag === undefined ? {} : { [type.etag]: resource.etag }),
      ...(isObject(seen) ? seen : {}),
    };
  }

  const urlOf = (path: string, apiVersion: string) => `${origin}${path}?api-version=${apiVersion}`;
  const retryAfter = () => String(operations.retryAfterSeconds);
  return model;
}
