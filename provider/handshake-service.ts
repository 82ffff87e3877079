/** How the engine and the provider get to know each other: Handshake, Attach, Configure, GetPluginInfo, GetSchema, Cancel. */
import { type PluginAttach, PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import {
  type CheckRequest,
  CheckResponse,
  ConfigureResponse,
  type DiffRequest,
  DiffResponse,
  type GetSchemaRequest,
  GetSchemaResponse,
  type ProviderHandshakeRequest,
  ProviderHandshakeResponse,
} from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { KmsEtcdError } from "../core/errors";
import type { Session } from "./session";

export interface ProviderIdentity {
  readonly version: string;
  /** The Pulumi package schema, as JSON. */
  readonly schema: () => Promise<string>;
}

export function createHandshakeService(session: Session, identity: ProviderIdentity) {
  async function handshake(request: ProviderHandshakeRequest): Promise<ProviderHandshakeResponse> {
    session.connect(request.getEngineAddress());
    const response = new ProviderHandshakeResponse();
    // Secrets and outputs arrive marked, so that a component made by Construct keeps them, and so do our outputs.
    response.setAcceptSecrets(true);
    response.setAcceptResources(true);
    response.setAcceptOutputs(true);
    return response;
  }

  /** The engine joins a provider that was started by hand (PULUMI_DEBUG_PROVIDERS). */
  async function attach(request: PluginAttach): Promise<Empty> {
    session.connect(request.getAddress());
    return new Empty();
  }

  /** There is nothing to configure: what a resource needs stands in its inputs. */
  async function configure(): Promise<ConfigureResponse> {
    const response = new ConfigureResponse();
    response.setAcceptsecrets(true);
    response.setAcceptresources(true);
    response.setAcceptoutputs(true);
    response.setSupportspreview(true);
    return response;
  }

  async function checkConfig(request: CheckRequest): Promise<CheckResponse> {
    const response = new CheckResponse();
    response.setInputs(request.getNews());
    return response;
  }

  async function diffConfig(_request: DiffRequest): Promise<DiffResponse> {
    const response = new DiffResponse();
    response.setChanges(DiffResponse.DiffChanges.DIFF_NONE);
    return response;
  }

  async function getPluginInfo(): Promise<PluginInfo> {
    const info = new PluginInfo();
    info.setVersion(identity.version);
    return info;
  }

  async function getSchema(request: GetSchemaRequest): Promise<GetSchemaResponse> {
    if (request.getVersion() !== 0) {
      throw new KmsEtcdError("unsupported", `schema version ${request.getVersion()} is not known`, {
        remedy: "ask for version 0",
      });
    }
    const response = new GetSchemaResponse();
    response.setSchema(await identity.schema());
    return response;
  }

  /** ^C, and also the normal end of every operation: so it stops what is under way, and nothing that begins later. */
  async function cancel(): Promise<Empty> {
    session.cancel();
    return new Empty();
  }

  return { handshake, attach, configure, checkConfig, diffConfig, getPluginInfo, getSchema, cancel };
}
