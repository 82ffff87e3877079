/** The engine's side of the protocol: a client of the provider, with the Log and ResourceStatus services it reports to. */
import {
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { type LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { ResourceStatusService } from "@pulumi/pulumi/proto/resource_status_grpc_pb";
import {
  type PublishViewStepsRequest,
  PublishViewStepsResponse,
  ViewStep,
} from "@pulumi/pulumi/proto/resource_status_pb";
import { Status } from "@pulumi/pulumi/proto/status_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { typeTokens } from "../../../core/type-tokens";
import { type Properties, readProperties, writeProperties } from "../../../provider/property-values";
import { connectUnary } from "../../../provider/unary-call";

export interface PublishedView {
  readonly op: string;
  readonly name: string;
  readonly outputs: Properties;
  readonly error: string;
}

export type EngineSide = Awaited<ReturnType<typeof engineSide>>;

/** `start` gets the engine's address and gives the provider's port. */
export async function engineSide(start: (address: string) => Promise<{ port: number; stop(): Promise<void> }>) {
  const progress: string[] = [];
  const warnings: string[] = [];
  const published: PublishedView[] = [];
  const oldViews = new Map<string, messages.View>();
  const server = new Server();
  server.addService(EngineService, {
    log: (call: ServerUnaryCall<LogRequest, Empty>, done: sendUnaryData<Empty>) => {
      if (call.request.getSeverity() !== LogSeverity.DEBUG)
        (call.request.getEphemeral() ? progress : warnings).push(call.request.getMessage());
      done(null, new Empty());
    },
  });
  server.addService(ResourceStatusService, {
    publishViewSteps: (
      call: ServerUnaryCall<PublishViewStepsRequest, PublishViewStepsResponse>,
      done: sendUnaryData<PublishViewStepsResponse>,
    ) => {
      for (const step of call.request.getStepsList()) keep(step);
      done(null, new PublishViewStepsResponse());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const address = `127.0.0.1:${port}`;
  const provider = await start(address);
  const client = connectUnary(`127.0.0.1:${provider.port}`);
  const service = ResourceProviderService as unknown as Record<string, MethodDefinition<object, object>>;
  const call = async <Response>(name: string, request: object): Promise<Response> =>
    (await client.call(service[name] as MethodDefinition<object, object>, request)) as Response;

  function keep(step: ViewStep): void {
    const op = Object.entries(ViewStep.Op).find(([, value]) => Number(value) === (step.getOp() as number))?.[0] ?? "?";
    const name = step.getName();
    const outputs = readProperties(step.getNew()?.getOutputs()).values;
    published.push({ op, name, outputs, error: step.getError() });
    if (op === "DELETE") oldViews.delete(name);
    else {
      const view = new messages.View();
      view.setType(step.getType());
      view.setName(name);
      view.setInputs(step.getNew()?.getInputs());
      view.setOutputs(step.getNew()?.getOutputs());
      oldViews.set(name, view);
    }
  }

  interface Target {
    setUrn(urn: string): unknown;
    setName(name: string): unknown;
    setType(type: string): unknown;
  }
  function about<Request extends Target>(request: Request, type: string): Request {
    request.setUrn(`urn:pulumi:test::project::${type}::etcd`);
    request.setName("etcd");
    request.setType(type);
    return request;
  }
  function withViews<
    Request extends {
      setResourceStatusAddress(a: string): unknown;
      setResourceStatusToken(t: string): unknown;
      setOldViewsList?(views: messages.View[]): unknown;
    },
  >(request: Request): Request {
    request.setResourceStatusAddress(address);
    request.setResourceStatusToken("token");
    request.setOldViewsList?.([...oldViews.values()]);
    return request;
  }

  /** The methods, with plain values in and out. */
  const resource = (type: string) => ({
    async check(olds: Properties | undefined, news: Properties) {
      const request = about(new messages.CheckRequest(), type);
      if (olds !== undefined) request.setOlds(writeProperties(olds));
      request.setNews(writeProperties(news));
      const response = await call<messages.CheckResponse>("check", request);
      const { values, secrets } = readProperties(response.getInputs());
      return {
        inputs: values,
        secretInputs: secrets,
        problems: response.getFailuresList().map((failure) => `${failure.getProperty()}: ${failure.getReason()}`),
      };
    },
    async diff(inputs: Properties, outputs: Properties, news: Properties) {
      const request = about(new messages.DiffRequest(), type);
      request.setId("id");
      request.setOldInputs(writeProperties(inputs));
      request.setOlds(writeProperties(outputs));
      request.setNews(writeProperties(news));
      const response = await call<messages.DiffResponse>("diff", request);
      return {
        some: response.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME,
        names: response.getDiffsList(),
        detailed: new Map([...response.getDetaileddiffMap().entries()].map(([path, entry]) => [path, entry.getKind()])),
      };
    },
    async create(inputs: Properties, preview = false, secrets: ReadonlySet<string> = new Set()) {
      const request = withViews(about(new messages.CreateRequest(), type));
      request.setProperties(writeProperties(inputs, secrets));
      request.setPreview(preview);
      const response = await call<messages.CreateResponse>("create", request);
      const { values, secrets: secretOutputs } = readProperties(response.getProperties());
      return { id: response.getId(), outputs: values, secretOutputs, refreshes: response.getRefreshBeforeUpdate() };
    },
    async read(inputs: Properties, outputs: Properties) {
      const request = withViews(about(new messages.ReadRequest(), type));
      request.setId("id");
      request.setInputs(writeProperties(inputs));
      request.setProperties(writeProperties(outputs));
      const response = await call<messages.ReadResponse>("read", request);
      return {
        id: response.getId(),
        inputs: readProperties(response.getInputs()).values,
        outputs: readProperties(response.getProperties()).values,
      };
    },
    async update(inputs: Properties, outputs: Properties, news: Properties, preview = false) {
      const request = withViews(about(new messages.UpdateRequest(), type));
      request.setId("id");
      request.setOldInputs(writeProperties(inputs));
      request.setOlds(writeProperties(outputs));
      request.setNews(writeProperties(news));
      request.setPreview(preview);
      const response = await call<messages.UpdateResponse>("update", request);
      return readProperties(response.getProperties()).values;
    },
    async delete(inputs: Properties, outputs: Properties) {
      const request = withViews(about(new messages.DeleteRequest(), type));
      request.setId("id");
      request.setOldInputs(writeProperties(inputs));
      request.setProperties(writeProperties(outputs));
      await call<Empty>("delete", request);
    },
  });

  return {
    address,
    progress,
    warnings,
    published,
    oldViews,
    call,
    resource,
    rollout: resource(typeTokens.encryptionRollout),
    localKey: resource(typeTokens.localKey),
    cancel: () => call<Empty>("cancel", new Empty()),
    async close() {
      client.close();
      await provider.stop();
      server.forceShutdown();
    },
  };
}

/** What an ErrorResourceInitFailed says, if that is what was thrown. */
export function initFailure(thrown: unknown) {
  const bytes = (thrown as Partial<ServiceError>).metadata?.get("grpc-status-details-bin")[0];
  if (!(bytes instanceof Buffer)) return undefined;
  const detail = Status.deserializeBinary(bytes)
    .getDetailsList()[0]
    ?.unpack(messages.ErrorResourceInitFailed.deserializeBinary, "pulumirpc.ErrorResourceInitFailed");
  if (!detail) return undefined;
  return {
    id: detail.getId(),
    outputs: readProperties(detail.getProperties()).values,
    reasons: detail.getReasonsList(),
    refreshes: detail.getRefreshBeforeUpdate(),
  };
}
