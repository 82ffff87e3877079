/** A Pulumi plugin's process from its start to its end: the port on its first line, and an end with Pulumi's or by a signal. */
import { whenParentEnds } from "./parent-process";

export interface RunningProvider {
  readonly port: number;
  /** Lets calls end that are under way. */
  stop(): Promise<void>;
}

/** @param start gets the address of Pulumi's engine, which Pulumi gives as the only argument; undefined when started by hand. */
export function runProviderProcess(start: (engineAddress: string | undefined) => Promise<RunningProvider>): void {
  serve(start).catch((thrown: unknown) => {
    process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
    process.exitCode = 1;
  });
}

async function serve(start: (engineAddress: string | undefined) => Promise<RunningProvider>): Promise<void> {
  const parent = process.ppid;
  const server = await start(process.argv.slice(2).find((argument) => /^[\w.-]+:\d+$/.test(argument)));
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    void server.stop().then(() => process.exit(0));
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  whenParentEnds(parent, stop);
  process.stdout.write(`${server.port}\n`);
}
