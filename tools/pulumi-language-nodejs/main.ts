/**
 * A small stand-in for Pulumi's Node.js language host, put beside a Pulumi CLI that was built from its Go module: that module
 * does not hold the host, and the CLI can't run `pulumi up` on a program without one. A downloaded CLI brings the real one,
 * which is always preferred. What is here: running programs and plugins. What is not: installing dependencies, finding
 * plugins in node_modules, debugging, code generation.
 *
 * Protocol: pulumirpc.LanguageRuntime (pulumi/proto/pulumi/language.proto); the CLI starts the host with the engine's
 * address as its last argument and reads a port from the first line of its output.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { RunPluginRequest, RunPluginResponse, RunRequest, RunResponse } from "@pulumi/pulumi/proto/language_pb";
import { nodeArguments, type ProgramRun, programArguments, programEnvironment } from "./program-arguments";
import { loadSdk, type Sdk, sdkPath } from "./sdk";

/** The SDK's runner exits so when it has told the user about the error itself. */
const exitAfterMessage = 32;
const parentPollMilliseconds = 1_000;

const children = new Set<ChildProcess>();

function serve(sdk: Sdk, engineAddress: string): UntypedServiceImplementation {
  const { language, plugin } = sdk;
  return {
    handshake: (_call: unknown, done: sendUnaryData<unknown>) => done(null, new language.LanguageHandshakeResponse()),
    getPluginInfo: (_call: unknown, done: sendUnaryData<unknown>) => done(null, new plugin.PluginInfo()),
    getRequiredPackages: (_call: unknown, done: sendUnaryData<unknown>) =>
      done(null, new language.GetRequiredPackagesResponse()),
    getRequiredPlugins: (_call: unknown, done: sendUnaryData<unknown>) =>
      done(null, new language.GetRequiredPluginsResponse()),
    cancel: (_call: unknown, done: sendUnaryData<unknown>) => {
      for (const child of children) child.kill("SIGTERM");
      // google.protobuf.Empty: any message without fields has the same bytes.
      done(null, new language.LanguageHandshakeResponse());
    },
    run: (call: ServerUnaryCall<RunRequest, RunResponse>, done: sendUnaryData<RunResponse>) => {
      runProgram(sdk, readRun(call.request, engineAddress)).then(
        (response) => done(null, response),
        (thrown: unknown) => done({ code: sdk.grpc.status.INTERNAL, message: String(thrown) }),
      );
    },
    runPlugin: (call: ServerWritableStream<RunPluginRequest, RunPluginResponse>) => runPlugin(sdk, call),
  };
}

function readRun(request: RunRequest, engineAddress: string): ProgramRun {
  const info = request.getInfo();
  const config = request.getConfigMap();
  return {
    engineAddress,
    monitorAddress: request.getMonitorAddress(),
    organization: request.getOrganization(),
    project: request.getProject(),
    rootDirectory: info?.getRootDirectory() ?? request.getPwd(),
    stack: request.getStack(),
    workingDirectory: request.getPwd(),
    dryRun: request.getDryrun(),
    parallel: request.getParallel(),
    entryPoint: info?.getEntryPoint() ?? ".",
    arguments: request.getArgsList(),
    config: new Map(config.getEntryList()),
    secretKeys: request.getConfigsecretkeysList(),
    options: readOptions(info?.getOptions()),
  };
}

function readOptions(
  options: { toJavaScript(): Record<string, unknown> } | undefined,
): Readonly<Record<string, unknown>> {
  return options?.toJavaScript() ?? {};
}

/** The program's own output goes to ours, which the CLI shows. */
async function runProgram(sdk: Sdk, run: ProgramRun): Promise<RunResponse> {
  const child = spawn(process.execPath, programArguments(sdkPath(run.workingDirectory, "cmd/run"), run), {
    env: { ...process.env, ...programEnvironment(run) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = await whenEnded(child);
  const response = new sdk.language.RunResponse();
  if (ended === exitAfterMessage) response.setBail(true);
  else if (ended !== 0)
    response.setError(`Program exited with ${typeof ended === "number" ? `non-zero exit code: ${ended}` : ended}`);
  return response;
}

function runPlugin(sdk: Sdk, call: ServerWritableStream<RunPluginRequest, RunPluginResponse>): void {
  const { request } = call;
  const info = request.getInfo();
  const directory = info?.getProgramDirectory() ?? request.getProgram();
  const options = readOptions(info?.getOptions());
  const child = spawn(
    process.execPath,
    [...nodeArguments(options), sdkPath(directory, "cmd/run-plugin"), directory, ...request.getArgsList()],
    {
      cwd: request.getPwd(),
      env: {
        ...process.env,
        ...Object.fromEntries(
          request
            .getEnvList()
            .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
        ),
        PULUMI_NODEJS_TYPESCRIPT: options["typescript"] === false ? "false" : "true",
      },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const send = (fill: (response: RunPluginResponse) => void): void => {
    const response = new sdk.language.RunPluginResponse();
    fill(response);
    call.write(response);
  };
  child.stdout.on("data", (bytes: Buffer) => send((response) => response.setStdout(bytes)));
  child.stderr.on("data", (bytes: Buffer) => send((response) => response.setStderr(bytes)));
  call.on("cancelled", () => child.kill("SIGTERM"));
  void whenEnded(child).then((ended) => {
    send((response) => response.setExitcode(typeof ended === "number" ? ended : 1));
    call.end();
  });
}

/** Exit code, or why there is none. All output has been read by then. */
function whenEnded(child: ChildProcess): Promise<number | string> {
  children.add(child);
  return new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code ?? `signal ${signal}`));
  }).finally(() => children.delete(child));
}

function end(code: number): never {
  for (const child of children) child.kill("SIGTERM");
  process.exit(code);
}

function main(): void {
  const engineAddress = process.argv.slice(2).findLast((argument) => !argument.startsWith("-")) ?? "";
  const sdk = loadSdk(process.cwd());
  const server = new sdk.grpc.Server({ "grpc.max_receive_message_length": 400 * 1024 * 1024 });
  const methods = serve(sdk, engineAddress);
  server.addService(sdk.languageService.LanguageRuntimeService, methods);
  server.bindAsync("127.0.0.1:0", sdk.grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`${port}\n`);
  });
  // A CLI that is killed says nothing: we then have another parent.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end(1);
  }, parentPollMilliseconds).unref();
  // The CLI gives plugins a process group of their own, out of reach of the terminal's ^C, and ends them with SIGINT.
  process.on("SIGINT", () => end(0));
  process.on("SIGTERM", () => end(0));
}

try {
  main();
} catch (thrown) {
  process.stderr.write(`pulumi-language-nodejs: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exit(1);
}
