/** An engine in a process of its own: see engine.cjs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { localControlPlaneFile } from "../../../core/local-control-plane";
import type { Goal } from "../../../rotation/goal";
import type { RotationOutcome } from "../../../rotation/run";
import type { RotationEvent } from "../../../rotation/run-events";
import type { RealCluster } from "./real-cluster";

export interface EngineProcess {
  readonly pid: number;
  kill(): void;
  /** Undefined for an engine that was killed. */
  readonly outcome: Promise<RotationOutcome | undefined>;
}

export function startEngine(
  cluster: RealCluster,
  goal: Goal,
  onEvent: (event: RotationEvent) => void = () => undefined,
): EngineProcess {
  const descriptor = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
  const child = spawn(process.execPath, [join(__dirname, "engine.cjs"), descriptor, JSON.stringify(goal)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let outcome: RotationOutcome | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const said = JSON.parse(line) as { event?: RotationEvent; outcome?: RotationOutcome };
    if (said.event !== undefined) {
      if (said.event.kind !== "progress") cluster.log.push(`process ${child.pid}: ${said.event.message}`);
      onEvent(said.event);
    }
    outcome ??= said.outcome;
  });
  return {
    pid: child.pid ?? 0,
    kill: () => child.kill("SIGKILL"),
    outcome: once(child, "close").then(([code, signal]) => {
      if (outcome === undefined && signal !== "SIGKILL") throw new Error(`the engine ended with ${signal ?? code}`);
      return outcome;
    }),
  };
}
