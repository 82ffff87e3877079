/** The rows of a rollout: one view a stage. The state keeps them, so they say where the rotation to the present target stands. */
import { isAfter, RotationStage, rotationStages } from "../../core/rotation-stage";
import type { PlannedStage, RotationPlan } from "../../rotation/plan";
import type { RotationEvent } from "../../rotation/run-events";
import type { Properties } from "../property-values";
import type { Views } from "../resource";

export interface StageViews {
  /** Preview: the stages that a run would enter, with what is known of each, in numbers: `pulumi preview --json` has them. */
  foretell(stages: readonly RotationStage[], plan?: Pick<RotationPlan, "stages" | "kmsCalls">): Promise<void>;
  /** A stage has ended well. */
  finished(event: RotationEvent): void;
  /** The run has got to `stage`, so those before it are done, also where an earlier run did them and was killed. */
  reached(stage: RotationStage): void;
  /** The stage in which the run stopped. */
  stopped(stage: RotationStage, why: string): void;
  /** Resolves when all rows are published, and those that stand for an earlier target are gone. */
  settle(): Promise<void>;
}

/** Rows are published one after the other: their order is the order of the stages. */
export function createStageViews(views: Views, target: number): StageViews {
  const inputs: Properties = { keyVersion: target };
  const published = new Set<string>();
  let queue: Promise<void> = Promise.resolve();

  function publish(stage: RotationStage, outputs: Properties, failure?: string): void {
    // The engine keeps a row for each step that is published, so a stage that is entered again keeps its first one.
    if (published.has(stage)) return;
    published.add(stage);
    queue = queue.then(() =>
      views.publish({ name: stage, inputs, outputs, ...(failure === undefined ? {} : { failure }) }),
    );
  }

  return {
    async foretell(stages, plan) {
      for (const stage of stages) {
        const known = plan?.stages.find((entry) => entry.stage === stage);
        const calls = stage === RotationStage.Rewrite && plan !== undefined ? { kmsCalls: { ...plan.kmsCalls } } : {};
        publish(stage, { result: "planned", ...(known && numbersOf(known)), ...calls });
      }
      await this.settle();
    },
    finished(event) {
      const { durationMs, waitingMs } = event;
      publish(event.stage, {
        result: "done",
        ...(durationMs === undefined ? {} : { seconds: seconds(durationMs) }),
        ...(waitingMs === undefined ? {} : { waitingSeconds: seconds(waitingMs) }),
      });
    },
    reached(last) {
      if (published.size === 0) return;
      const known = views.before.filter(
        (view) => view.inputs["keyVersion"] === target && view.outputs["result"] === "done",
      );
      for (const stage of rotationStages) {
        if (!isAfter(stage, last) && !known.some((view) => view.name === stage)) publish(stage, { result: "done" });
      }
    },
    stopped: (stage, why) => publish(stage, { result: "stopped" }, why),
    async settle() {
      await queue;
      if (published.size === 0) return;
      for (const { name, inputs: its } of views.before) {
        if (!published.has(name) && its["keyVersion"] !== target) await views.remove(name);
      }
    },
  };
}

function numbersOf({ restarts, servers, objects, bytes, expectedMs }: PlannedStage): Properties {
  return {
    ...(restarts === 0 ? {} : { restarts, on: servers }),
    ...(objects === undefined ? {} : { objects }),
    ...(bytes === undefined ? {} : { bytes }),
    expectedSeconds: seconds(expectedMs),
  };
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 100) / 10;
}
