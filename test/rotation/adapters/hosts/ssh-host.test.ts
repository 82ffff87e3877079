import assert from "node:assert/strict";
import { sshHost } from "../../../../rotation/adapters/hosts/ssh-host";
import type { SshSession } from "../../../../rotation/adapters/ssh/ssh-session";

describe("when a file came to be on a host", () => {
  const command = "stat -L -c %Z -- /etc/kubernetes/kms-etcd/encryption-config.yaml";

  /** Only root may look into the directory. */
  async function changedAt(sudo: boolean): Promise<{ readonly at: number | undefined; readonly asked: string[] }> {
    const asked: string[] = [];
    const refused = { code: 1, stdout: "", stderr: "stat: cannot statx: Permission denied" };
    const run = (as: string) => async (text: string) => {
      asked.push(`${as}: ${text}`);
      return as === "root" ? { code: 0, stdout: "1763776800\n", stderr: "" } : refused;
    };
    const session = { name: "cp1", sudo, ssh: async () => ({ run: run("user") }), run: run(sudo ? "root" : "user") };
    const host = sshHost(session as unknown as SshSession);
    return { at: await host.changedAt?.("/etc/kubernetes/kms-etcd/encryption-config.yaml"), asked };
  }

  it("in a directory of root's => told through sudo, which is asked where the user itself may not look", async () => {
    const { at, asked } = await changedAt(true);
    assert.equal(at, 1_763_776_801_000);
    assert.deepEqual(asked, [`user: ${command}`, `root: ${command}`]);
  });

  it("the same without sudo => not known", async () => {
    assert.deepEqual(await changedAt(false), { at: undefined, asked: [`user: ${command}`] });
  });
});
