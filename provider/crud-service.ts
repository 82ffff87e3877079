/** Check, Diff, Create, Read, Update and Delete: from the engine's messages to the resource types and back. */
import {
  CheckFailure,
  type CheckRequest,
  CheckResponse,
  type CreateRequest,
  CreateResponse,
  type DeleteRequest,
  type DiffRequest,
  DiffResponse,
  PropertyDiff,
  type ReadRequest,
  ReadResponse,
  type UpdateRequest,
  UpdateResponse,
  type View,
} from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { KmsEtcdError } from "../core/errors";
import { topLevelNames } from "./property-diff";
import { readProperties, writeProperties } from "./property-values";
import { InitFailed, type Operation, type Resource, type ResourceDiff, type State, type Views } from "./resource";
import type { Session } from "./session";
import { createViews } from "./view-steps";

/** The part of every request that says which resource it is about. */
interface ResourceRequest {
  getUrn(): string;
  getName(): string;
  getType(): string;
}

/** The part of a request that can report views. */
interface ViewRequest {
  getResourceStatusAddress(): string;
  getResourceStatusToken(): string;
  getOldViewsList?(): View[];
}

const noViews: Views = { before: [], publish: async () => undefined, remove: async () => undefined };

export function createCrudService(session: Session, resources: ReadonlyMap<string, Resource>, viewType: string) {
  function resourceOf(request: ResourceRequest): Resource {
    const resource = resources.get(request.getType());
    if (resource !== undefined) return resource;
    const remedy = `this provider has ${[...resources.keys()].join(", ")}`;
    throw new KmsEtcdError("unsupported", `there is no resource type ${request.getType()}`, { remedy });
  }

  /** What the state must hold as secrets in the outputs. */
  function secretsOf(request: ResourceRequest, inputs: ReadonlySet<string>): ReadonlySet<string> {
    return new Set([...inputs, ...(resourceOf(request).secretOutputs ?? [])]);
  }

  function operationOf(request: ResourceRequest, signal: AbortSignal, views: Views = noViews): Operation {
    const urn = request.getUrn();
    return {
      urn,
      name: request.getName(),
      signal,
      progress: (message) => session.log.progress(urn, message),
      warn: (message) => session.log.warn(urn, message),
      views,
    };
  }

  function viewsOf(request: ViewRequest): Views {
    return createViews(viewType, {
      address: request.getResourceStatusAddress(),
      token: request.getResourceStatusToken(),
      oldViews: request.getOldViewsList?.() ?? [],
    });
  }

  /**
   * A failure that leaves a state behind must mark the same outputs as secret as a success would; and what was said about the
   * resource must be there before its row is closed.
   */
  async function whole<Result>(secrets: ReadonlySet<string>, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof InitFailed)) throw thrown;
      throw new InitFailed(thrown.id, thrown.outputs, thrown.reasons, secrets);
    } finally {
      await session.log.flush();
    }
  }

  async function check(request: CheckRequest, signal: AbortSignal): Promise<CheckResponse> {
    const olds = request.hasOlds() ? readProperties(request.getOlds()).values : undefined;
    const news = readProperties(request.getNews());
    // The engine sends an empty object, not none, for a resource that is new.
    const before = olds === undefined || Object.keys(olds).length === 0 ? undefined : olds;
    const checked = await resourceOf(request).check(before, news.values, operationOf(request, signal));
    const secrets = new Set([...news.secrets, ...(checked.secrets ?? [])]);
    const response = new CheckResponse();
    response.setInputs(writeProperties(checked.inputs, secrets));
    response.setFailuresList(
      checked.problems.map(({ path, reason }) => {
        const failure = new CheckFailure();
        // The CLI prints the whole value of a property that is named, secrets in it included.
        const isTold = ![...secrets].some((secret) => isWithin(secret, path));
        if (isTold) failure.setProperty(path);
        failure.setReason(isTold ? reason : `${path}: ${reason}`);
        return failure;
      }),
    );
    return response;
  }

  async function diff(request: DiffRequest, signal: AbortSignal): Promise<DiffResponse> {
    const state: State = {
      id: request.getId(),
      inputs: readProperties(request.getOldInputs()).values,
      outputs: readProperties(request.getOlds()).values,
    };
    const news = readProperties(request.getNews()).values;
    return diffResponse(await resourceOf(request).diff(state, news, operationOf(request, signal)));
  }

  async function create(request: CreateRequest, signal: AbortSignal): Promise<CreateResponse> {
    const inputs = readProperties(request.getProperties());
    const operation = operationOf(request, signal, viewsOf(request));
    const secrets = secretsOf(request, inputs.secrets);
    const created = await whole(secrets, () =>
      resourceOf(request).create(inputs.values, request.getPreview(), operation),
    );
    const response = new CreateResponse();
    response.setId(created.id);
    response.setProperties(writeProperties(created.outputs, secrets));
    response.setRefreshBeforeUpdate(true);
    return response;
  }

  async function read(request: ReadRequest, signal: AbortSignal): Promise<ReadResponse> {
    const inputs = readProperties(request.getInputs());
    const outputs = readProperties(request.getProperties());
    const state: State = { id: request.getId(), inputs: inputs.values, outputs: outputs.values };
    const seen = await resourceOf(request).read(state, operationOf(request, signal, viewsOf(request)));
    const response = new ReadResponse();
    response.setId(seen.id);
    response.setInputs(writeProperties(seen.inputs, inputs.secrets));
    response.setProperties(writeProperties(seen.outputs, secretsOf(request, outputs.secrets)));
    response.setRefreshBeforeUpdate(true);
    return response;
  }

  async function update(request: UpdateRequest, signal: AbortSignal): Promise<UpdateResponse> {
    const state: State = {
      id: request.getId(),
      inputs: readProperties(request.getOldInputs()).values,
      outputs: readProperties(request.getOlds()).values,
    };
    const inputs = readProperties(request.getNews());
    const operation = operationOf(request, signal, viewsOf(request));
    const secrets = secretsOf(request, inputs.secrets);
    const outputs = await whole(secrets, () =>
      resourceOf(request).update(state, inputs.values, request.getPreview(), operation),
    );
    const response = new UpdateResponse();
    response.setProperties(writeProperties(outputs, secrets));
    response.setRefreshBeforeUpdate(true);
    return response;
  }

  async function remove(request: DeleteRequest, signal: AbortSignal): Promise<Empty> {
    const state: State = {
      id: request.getId(),
      inputs: readProperties(request.getOldInputs()).values,
      outputs: readProperties(request.getProperties()).values,
    };
    const operation = operationOf(request, signal, viewsOf(request));
    await resourceOf(request).delete(state, operation);
    // A view that outlives its resource makes the stack's file invalid: "child resource refers to missing parent".
    for (const view of operation.views.before) await operation.views.remove(view.name);
    return new Empty();
  }

  return { check, diff, create, read, update, delete: remove };
}

function diffResponse(changes: ResourceDiff): DiffResponse {
  const response = new DiffResponse();
  const kinds = { add: PropertyDiff.Kind.ADD, delete: PropertyDiff.Kind.DELETE, update: PropertyDiff.Kind.UPDATE };
  const add = (path: string, kind: PropertyDiff.Kind, inputDiff: boolean) => {
    const entry = new PropertyDiff();
    entry.setKind(kind);
    entry.setInputdiff(inputDiff);
    response.getDetaileddiffMap().set(path, entry);
  };
  for (const [path, change] of changes.inputs) add(path, kinds[change], true);
  for (const path of changes.outputs) add(path, PropertyDiff.Kind.UPDATE, false);
  const some = changes.inputs.size + changes.outputs.length > 0;
  response.setChanges(some ? DiffResponse.DiffChanges.DIFF_SOME : DiffResponse.DiffChanges.DIFF_NONE);
  response.setDiffsList([...topLevelNames(changes.inputs), ...changes.outputs]);
  response.setHasdetaileddiff(true);
  return response;
}

/** Whether `path` is the property `of`, or a part of it. */
function isWithin(path: string, of: string): boolean {
  return path === of || path.startsWith(`${of}.`) || path.startsWith(`${of}[`);
}
