import assert from "node:assert/strict";
import { RotationStage } from "../../../core/rotation-stage";
import { evidenceOf } from "../../../rotation/evidence";
import { planRotation } from "../../../rotation/plan";
import { reportText, rotationReport, stageRecorder } from "../../../rotation/report/report";
import { type RotationOutcome, runRotation } from "../../../rotation/run";
import { goalFor } from "../goals";
import { randomFrom } from "../random";
import { simulateCluster } from "../simulated-cluster";

describe("the report of a rotation", () => {
  async function report(change: (outcome: RotationOutcome) => RotationOutcome = (outcome) => outcome) {
    const { fleet, stored, clock } = simulateCluster({
      hosts: 2,
      reload: "restart",
      objects: 7,
      clients: false,
      random: randomFrom(1),
    });
    const goal = goalFor(1, ["cp1", "cp2"]);
    const signal = new AbortController().signal;
    const plan = await planRotation({ goal, fleet, stored, signal });
    const recorder = stageRecorder();
    const outcome = await runRotation({ goal, fleet, stored, clock, signal, onEvent: recorder.onEvent });
    return rotationReport({
      command: "rotate",
      cluster: "simulated",
      goal,
      keyVersion: 1,
      startedAt: 0,
      finishedAt: 60_000,
      outcome: change(outcome),
      stages: recorder.stages(),
      before: evidenceOf(plan.observed, goal, fleet.endpoint.bind(fleet)),
    });
  }

  it("key ids and counts before and after, servers with what they loaded, and when each stage ran", async () => {
    const { before, after, stages, goal, outcome } = await report();
    assert.deepEqual(before?.resources[0]?.keys, [{ provider: "identity", objects: 7 }]);
    assert.deepEqual(
      after.resources[0]?.keys.map(({ keyId, objects }) => [keyId, objects]),
      [["local-1", 7]],
    );
    assert.deepEqual(
      [before.complete, after.complete, after.method, after.discovery],
      [false, true, "etcd", "simulated"],
    );
    assert.deepEqual(
      after.servers.map((server) => [server.name, server.loadedHash.slice(0, 7)]),
      [
        ["cp1", "sha256:"],
        ["cp2", "sha256:"],
      ],
    );
    assert.deepEqual(
      stages.map((stage) => stage.stage),
      Object.values(RotationStage),
    );
    for (const { startedAt, finishedAt, durationMs } of stages) {
      assert.equal(Date.parse(finishedAt ?? "") - Date.parse(startedAt), durationMs);
    }
    assert.deepEqual(goal.key, "local key local-1");
    assert.equal(outcome.kind, "done");
  });

  it("names of objects, and key material, are not in it", async () => {
    const text = reportText(
      await report((outcome) => ({
        ...outcome,
        kind: "blocked",
        reason: '500: unable to transform key "/registry/secrets/team/db-password": no matching prefix found',
      })),
    );
    assert.doesNotMatch(text, /db-password|"s\d"|\/keys\//);
    assert.match(text, /unable to transform key .*….*: no matching prefix found/);
  });

  it("made twice from the same run => the same text", async () => {
    assert.equal(reportText(await report()), reportText(await report()));
  });
});
