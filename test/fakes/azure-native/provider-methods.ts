/** The stand-in's side of Pulumi's protocol: from the engine's messages to resources and back. */
import {
  CheckFailure,
  type CheckRequest,
  CheckResponse,
  type ConfigureRequest,
  type CreateRequest,
  CreateResponse,
  type DeleteRequest,
  type DiffRequest,
  DiffResponse,
  type InvokeRequest,
  InvokeResponse,
  PropertyDiff,
  type ReadRequest,
  ReadResponse,
  type UpdateRequest,
  UpdateResponse,
} from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { KmsEtcdError } from "../../../core/errors";
import { topLevelNames } from "../../../provider/property-diff";
import { readProperties, writeProperties } from "../../../provider/property-values";
import type { Method } from "../../../provider/provider-server";
import type { Session } from "../../../provider/session";
import { configured, pluginMethods } from "../plugin-methods";
import { createAccessPolicyResource } from "./access-policy";
import { type ArmClient, type Credentials, createArmClient } from "./arm-client";
import { invoke } from "./invokes";
import { createNativeResource, type NativeDiff, type NativeResource, type NativeState } from "./native-resource";
import { nativeTypes } from "./native-types";

const settings = {
  tenantId: "ARM_TENANT_ID",
  subscriptionId: "ARM_SUBSCRIPTION_ID",
  clientId: "ARM_CLIENT_ID",
  clientSecret: "ARM_CLIENT_SECRET",
} as const;
/** The provider's other arguments that have no meaning here. `version` is what the SDK sends. */
const otherSettings = [
  "location",
  "environment",
  "metadataHost",
  "disableInstanceDiscovery",
  "disablePulumiPartnerId",
  "version",
];

export function createProviderMethods(session: Session): Readonly<Record<string, Method>> {
  let client: ArmClient | undefined;
  let location: string | undefined;

  function resourceOf(token: string): NativeResource {
    const arm = connected();
    if (token === "azure-native:keyvault:AccessPolicy") return createAccessPolicyResource(arm);
    const type = nativeTypes.get(token);
    if (type !== undefined) return createNativeResource(type, arm, location);
    throw new KmsEtcdError("unsupported", `the stand-in has no resource type ${token}`, {
      remedy: "add it to test/fakes/azure-native/native-types.ts and its model to test/fakes/arm/types",
    });
  }

  function connected(): ArmClient {
    if (client === undefined) throw new KmsEtcdError("invalid-input", "the azure-native provider has no credentials");
    return client;
  }

  const methods = {
    ...pluginMethods(session),
    async checkConfig(request: CheckRequest) {
      const { values, secrets } = readProperties(request.getNews());
      const known = [...Object.keys(settings), ...otherSettings];
      const response = new CheckResponse();
      response.setInputs(writeProperties(values, secrets));
      response.setFailuresList(
        Object.keys(values)
          .filter((name) => !known.includes(name))
          .map((name) => failure(name, "the stand-in does not know this argument of the provider")),
      );
      return response;
    },
    async configure(request: ConfigureRequest) {
      const { values } = readProperties(request.getArgs());
      const given = Object.fromEntries(
        Object.entries(settings).map(([name, variable]) => [
          name,
          typeof values[name] === "string" ? values[name] : (process.env[variable] ?? ""),
        ]),
      ) as unknown as Credentials;
      const missing = Object.entries(given).find(([, value]) => value === "")?.[0];
      client = missing === undefined ? createArmClient(given) : undefined;
      location = typeof values["location"] === "string" ? values["location"] : undefined;
      return configured();
    },
    async invoke(request: InvokeRequest) {
      const response = new InvokeResponse();
      response.setReturn(
        writeProperties(await invoke(connected(), request.getTok(), readProperties(request.getArgs()).values)),
      );
      return response;
    },
    async check(request: CheckRequest) {
      const olds = readProperties(request.getOlds()).values;
      const news = readProperties(request.getNews());
      const before = Object.keys(olds).length === 0 ? undefined : olds;
      const { inputs, problems } = await resourceOf(request.getType()).check(
        before,
        news.values,
        request.getName(),
        request.getRandomseed_asU8(),
      );
      const response = new CheckResponse();
      response.setInputs(writeProperties(inputs, news.secrets));
      response.setFailuresList(problems.map(({ path, reason }) => failure(path, reason)));
      return response;
    },
    async diff(request: DiffRequest) {
      const state: NativeState = {
        id: request.getId(),
        inputs: readProperties(request.getOldInputs()).values,
        outputs: readProperties(request.getOlds()).values,
      };
      const ignored = request.getIgnorechangesList();
      if (ignored.length > 0) await session.log.debug(`ignoreChanges is the engine's: ${ignored.join(", ")}`);
      return diffResponse(resourceOf(request.getType()).diff(state, readProperties(request.getNews()).values));
    },
    async create(request: CreateRequest, signal: AbortSignal) {
      const inputs = readProperties(request.getProperties());
      const created = await resourceOf(request.getType()).create(inputs.values, request.getPreview(), signal);
      const response = new CreateResponse();
      response.setId(created.id);
      response.setProperties(writeProperties(created.outputs, inputs.secrets));
      return response;
    },
    async read(request: ReadRequest, signal: AbortSignal) {
      const [inputs, outputs] = [readProperties(request.getInputs()), readProperties(request.getProperties())];
      const state = { id: request.getId(), inputs: inputs.values, outputs: outputs.values };
      const seen = await resourceOf(request.getType()).read(state, signal);
      const response = new ReadResponse();
      response.setId(seen?.id ?? "");
      response.setInputs(writeProperties(seen?.inputs ?? {}, inputs.secrets));
      response.setProperties(writeProperties(seen?.outputs ?? {}, outputs.secrets));
      return response;
    },
    async update(request: UpdateRequest, signal: AbortSignal) {
      const inputs = readProperties(request.getNews());
      const state = {
        id: request.getId(),
        inputs: readProperties(request.getOldInputs()).values,
        outputs: readProperties(request.getOlds()).values,
      };
      const outputs = await resourceOf(request.getType()).update(state, inputs.values, request.getPreview(), signal);
      const response = new UpdateResponse();
      response.setProperties(writeProperties(outputs, inputs.secrets));
      return response;
    },
    async delete(request: DeleteRequest, signal: AbortSignal) {
      const state = {
        id: request.getId(),
        inputs: readProperties(request.getOldInputs()).values,
        outputs: readProperties(request.getProperties()).values,
      };
      await resourceOf(request.getType()).delete(state, signal);
      return new Empty();
    },
  };
  return methods;
}

function failure(path: string, reason: string): CheckFailure {
  const made = new CheckFailure();
  made.setProperty(path);
  made.setReason(reason);
  return made;
}

function diffResponse({ changes, replaces, deleteBeforeReplace }: NativeDiff): DiffResponse {
  const { ADD, DELETE, UPDATE, ADD_REPLACE, DELETE_REPLACE, UPDATE_REPLACE } = PropertyDiff.Kind;
  const kinds = {
    add: [ADD, ADD_REPLACE],
    delete: [DELETE, DELETE_REPLACE],
    update: [UPDATE, UPDATE_REPLACE],
  } as const;
  const response = new DiffResponse();
  for (const [path, change] of changes) {
    const entry = new PropertyDiff();
    entry.setKind(kinds[change][replaces.has(path) ? 1 : 0]);
    entry.setInputdiff(true);
    response.getDetaileddiffMap().set(path, entry);
  }
  response.setChanges(changes.size > 0 ? DiffResponse.DiffChanges.DIFF_SOME : DiffResponse.DiffChanges.DIFF_NONE);
  response.setDiffsList([...topLevelNames(changes)]);
  response.setReplacesList([...new Set([...replaces].map((path) => path.split(/[.[]/, 1)[0] ?? path))]);
  response.setDeletebeforereplace(deleteBeforeReplace);
  response.setHasdetaileddiff(true);
  return response;
}
