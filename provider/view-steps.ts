/** Publishes views: rows below a resource that stand for parts of its work, and that the engine keeps in the state. */
import type { View as OldView } from "@pulumi/pulumi/proto/provider_pb";
import { ResourceStatusService } from "@pulumi/pulumi/proto/resource_status_grpc_pb";
import { PublishViewStepsRequest, ViewStep, ViewStepState } from "@pulumi/pulumi/proto/resource_status_pb";
import { type Properties, readProperties, writeProperties } from "./property-values";
import type { View, Views } from "./resource";
import { connectUnary } from "./unary-call";

/** What a request says about views. An engine that knows none sends no token, and publishing does nothing. */
export interface ViewTarget {
  readonly address: string;
  readonly token: string;
  readonly oldViews: readonly OldView[];
}

/** The views of one operation, all of `type`. */
export function createViews(type: string, target: ViewTarget): Views {
  const olds = new Map(target.oldViews.map((view) => [view.getName(), view]));

  async function send(step: ViewStep): Promise<void> {
    if (target.token === "") return;
    const client = connectUnary(target.address);
    try {
      const request = new PublishViewStepsRequest();
      request.setToken(target.token);
      request.setStepsList([step]);
      await client.call(ResourceStatusService.publishViewSteps, request);
    } finally {
      client.close();
    }
  }

  function stateOf(name: string, inputs: Properties, outputs: Properties): ViewStepState {
    const state = new ViewStepState();
    state.setType(type);
    state.setName(name);
    state.setInputs(writeProperties(inputs));
    state.setOutputs(writeProperties(outputs));
    return state;
  }

  function stepOf(name: string, op: ViewStep.Op): ViewStep {
    const step = new ViewStep();
    step.setType(type);
    step.setName(name);
    step.setOp(op);
    const old = olds.get(name);
    if (old !== undefined) {
      step.setOld(stateOf(name, readProperties(old.getInputs()).values, readProperties(old.getOutputs()).values));
    }
    return step;
  }

  return {
    before: target.oldViews.map((view) => ({
      name: view.getName(),
      inputs: readProperties(view.getInputs()).values,
      outputs: readProperties(view.getOutputs()).values,
    })),
    async publish(view: View) {
      // No detailed diff: the npm package can't serialize it here, and the engine compares old and new by itself.
      const step = stepOf(view.name, olds.has(view.name) ? ViewStep.Op.UPDATE : ViewStep.Op.CREATE);
      step.setNew(stateOf(view.name, view.inputs, view.outputs));
      if (view.failure !== undefined) {
        step.setStatus(ViewStep.Status.PARTIAL_FAILURE);
        step.setError(view.failure);
      }
      await send(step);
    },
    async remove(name: string) {
      if (olds.has(name)) await send(stepOf(name, ViewStep.Op.DELETE));
    },
  };
}
