/**
 * A stand-in for Pulumi's aws plugin, whose real one can't be had here, behind the same protocol. It runs in the test's own process;
 * PULUMI_DEBUG_PROVIDERS=aws:PORT has the CLI use it, and the program uses the real SDK.
 */
import {
  CheckFailure,
  type CheckRequest,
  CheckResponse,
  type CreateRequest,
  CreateResponse,
  type DeleteRequest,
  type DiffRequest,
  DiffResponse,
  type InvokeRequest,
  InvokeResponse,
  type ReadRequest,
  ReadResponse,
  type UpdateRequest,
  UpdateResponse,
} from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { KmsEtcdError } from "../../../core/errors";
import { changedProperties, topLevelNames } from "../../../provider/property-diff";
import {
  hasUnknown,
  type Properties,
  readProperties,
  unknown,
  writeProperties,
} from "../../../provider/property-values";
import { type ProviderServer, startProviderServer } from "../../../provider/provider-server";
import { createSession } from "../../../provider/session";
import { pluginMethods } from "../plugin-methods";
import type { AwsAccount } from "./aws-account";
import { type AwsType, formProblems } from "./aws-type";

/** Serves `account` on a free port of this machine. */
export function serveAws(account: AwsAccount): Promise<ProviderServer> {
  const session = createSession(undefined);
  const typeOf = (token: string): AwsType => {
    const type = account.types.get(token);
    if (type !== undefined) return type;
    throw new KmsEtcdError("unsupported", `the stand-in has no resource type ${token}`, {
      remedy: "add it with its rules to test/fakes/pulumi-aws/aws-account.ts",
    });
  };
  const methods = {
    ...pluginMethods(session),
    async checkConfig(request: CheckRequest) {
      const response = new CheckResponse();
      response.setInputs(request.getNews());
      return response;
    },
    async invoke(request: InvokeRequest) {
      const response = new InvokeResponse();
      response.setReturn(writeProperties(account.invoke(request.getTok(), readProperties(request.getArgs()).values)));
      return response;
    },
    async check(request: CheckRequest) {
      const { inputs, problems } = checkInputs(
        typeOf(request.getType()),
        readProperties(request.getNews()).values,
        readProperties(request.getOlds()).values,
        request.getName(),
      );
      const response = new CheckResponse();
      response.setInputs(writeProperties(inputs));
      response.setFailuresList(
        problems.map(({ path, reason }) => {
          const failure = new CheckFailure();
          failure.setProperty(path);
          failure.setReason(reason);
          return failure;
        }),
      );
      return response;
    },
    async diff(request: DiffRequest) {
      const type = typeOf(request.getType());
      const olds = readProperties(request.getOldInputs()).values;
      const names = topLevelNames(changedProperties(olds, readProperties(request.getNews()).values));
      const response = new DiffResponse();
      const { DIFF_SOME, DIFF_NONE } = DiffResponse.DiffChanges;
      response.setChanges(names.length > 0 ? DIFF_SOME : DIFF_NONE);
      response.setDiffsList([...names]);
      response.setReplacesList(names.filter((name) => type.inputs[name]?.fixed === true));
      return response;
    },
    async create(request: CreateRequest) {
      const type = typeOf(request.getType());
      const inputs = readProperties(request.getProperties()).values;
      const response = new CreateResponse();
      const { id, outputs } = request.getPreview() ? { id: "", outputs: previewOf(type, inputs) } : type.create(inputs);
      response.setId(id);
      response.setProperties(writeProperties(outputs));
      return response;
    },
    async read(request: ReadRequest) {
      const response = new ReadResponse();
      response.setId(request.getId());
      response.setInputs(request.getInputs());
      response.setProperties(request.getProperties());
      return response;
    },
    async update(request: UpdateRequest) {
      const type = typeOf(request.getType());
      const inputs = readProperties(request.getNews()).values;
      const state = {
        id: request.getId(),
        inputs: readProperties(request.getOldInputs()).values,
        outputs: readProperties(request.getOlds()).values,
      };
      const response = new UpdateResponse();
      const outputs = request.getPreview() ? { ...state.outputs, ...inputs } : type.update?.(state, inputs);
      response.setProperties(writeProperties(outputs ?? state.outputs));
      return response;
    },
    async delete(request: DeleteRequest) {
      const inputs = readProperties(request.getOldInputs()).values;
      const outputs = readProperties(request.getProperties()).values;
      typeOf(request.getType()).delete({ id: request.getId(), inputs, outputs });
      return new Empty();
    },
  };
  return startProviderServer(session, methods);
}

/** The plugin's check: form first, then AWS' own rules on what is known. Names that the plugin has made stay. */
export function checkInputs(type: AwsType, news: Properties, olds: Properties, name: string) {
  const kept = type.inputs["name"] !== undefined && news["name"] === undefined ? { name: olds["name"] } : {};
  const given = Object.fromEntries(
    Object.entries({ ...kept, ...news }).filter(([, value]) => value !== undefined),
  ) as Properties;
  const inputs = type.defaults?.(given, name) ?? given;
  const form = formProblems(type, inputs);
  const known = Object.fromEntries(Object.entries(inputs).filter(([, value]) => !hasUnknown(value)));
  const isWhole = Object.keys(known).length === Object.keys(inputs).length;
  return { inputs, problems: form.length > 0 || !isWhole ? form : (type.problems?.(inputs) ?? []) };
}

function previewOf(type: AwsType, inputs: Properties): Properties {
  return { ...inputs, ...Object.fromEntries(type.computed.map((name) => [name, unknown])) };
}
