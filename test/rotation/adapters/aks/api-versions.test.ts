import assert from "node:assert/strict";
import { versionThatShowsAll } from "../../../../rotation/adapters/aks/api-versions";
import type { ArmBody } from "../../../../rotation/adapters/azure/arm-client";

const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c";
const never = new AbortController().signal;
const pinned = "2025-05-01";

describe("the version of Azure's API that a cluster is written with", () => {
  /** What each version shows of the cluster; later looks see the later entries. */
  function client(...looks: readonly Readonly<Record<string, object>>[]) {
    const asked = new Map<string, number>();
    const versions = Object.keys(looks[0] ?? {});
    return {
      async get(path: string, version: string): Promise<ArmBody | undefined> {
        if (path !== id) {
          return { resourceTypes: [{ resourceType: "managedClusters", apiVersions: versions }] };
        }
        const turn = asked.get(version) ?? 0;
        asked.set(version, turn + 1);
        return looks[Math.min(turn, looks.length - 1)]?.[version] as ArmBody | undefined;
      },
    };
  }
  const chosen = async (...looks: readonly Readonly<Record<string, object>>[]) =>
    versionThatShowsAll(client(...looks), id, pinned, never, () => undefined);

  it("is the one that this package was made for, as long as it shows everything", async () => {
    const all = { properties: { a: 1 } };
    assert.equal(await chosen({ [pinned]: all, "2026-01-01": all }), pinned);
  });

  it("is a newer one that shows more of this very cluster", async () => {
    const more = { properties: { a: 1, b: 2 } };
    assert.equal(await chosen({ [pinned]: { properties: { a: 1 } }, "2026-01-01": more }), "2026-01-01");
  });

  it("is none where each hides something: that would be lost", async () => {
    const looks = { [pinned]: { properties: { a: 1, old: 1 } }, "2026-01-01": { properties: { a: 1, b: 2 } } };
    await assert.rejects(chosen(looks), {
      code: "blocked",
      message: /2025-05-01 does not show properties\.b, 2026-01-01 does not show properties\.old/,
    });
  });

  it("is looked for once more when the cluster has changed between two reads", async () => {
    const [before, after] = [{ properties: { a: 1 } }, { properties: { b: 1 } }];
    assert.equal(
      await chosen({ [pinned]: before, "2026-01-01": after }, { [pinned]: after, "2026-01-01": after }),
      pinned,
    );
  });
});
