import assert from "node:assert/strict";
import { type FakeArm, startFakeArm } from "../fakes/arm/fake-arm";
import { azureExample, previewInReadme, previewTable } from "./support/azure-example";
import type { AzureProject } from "./support/azure-project";

/** Their journeys, with API servers, are in test/full/aks-examples.test.ts. */
for (const name of ["aks-public", "aks-private"]) {
  describe(`the preview of examples/${name}`, function () {
    this.timeout(20 * 60_000);
    let cloud: FakeArm;
    let example: AzureProject;

    before(async () => {
      cloud = await startFakeArm();
      example = await azureExample(name, cloud);
      await example.project.configure({ location: "westeurope", keyVersion: 1 });
    });
    after(async () => {
      example.close();
      await cloud.close();
    });

    it("a new stack => what the README says, and nothing is made", async () => {
      const text = await example.succeed("preview");
      assert.deepEqual(previewTable(text), previewInReadme(name));
      assert.equal(cloud.arm.bodies.length, 0);
    });
  });
}
