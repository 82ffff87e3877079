import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import { sshUnits } from "../../../../rotation/adapters/hosts/ssh-units";
import type { CommandResult } from "../../../../rotation/adapters/ssh/ssh-client";
import type { SshSession } from "../../../../rotation/adapters/ssh/ssh-session";

/** A session that answers each command with what is next. */
function session(answers: (Partial<CommandResult> | KmsEtcdError)[]) {
  const commands: string[] = [];
  const absent = () => Promise.reject(new Error("not asked for"));
  const fake: SshSession = {
    name: "cp1",
    sudo: false,
    ssh: absent,
    sftp: absent,
    run: (command) => {
      commands.push(command);
      const answer = answers.shift();
      if (answer instanceof KmsEtcdError) return Promise.reject(answer);
      return Promise.resolve({ code: 0, stdout: "", stderr: "", ...answer });
    },
    close: () => undefined,
  };
  return { commands, units: sshUnits(fake) };
}

const cut = () => new KmsEtcdError("unreachable", "cp1: a command was cut off");

describe("systemd over SSH", () => {
  it("looking that was cut off is done once more; a restart is not", async () => {
    const looking = session([cut(), { stdout: "Id=a.service\nLoadState=loaded\n" }]);
    assert.equal((await looking.units.states(["a.service"]))[0]?.isLoaded, true);
    assert.equal(looking.commands.length, 2);
    const restarting = session([{}, cut()]);
    await assert.rejects(restarting.units.restart("a.service"), (error: KmsEtcdError) => error.code === "unreachable");
    assert.deepEqual(restarting.commands, [
      "systemctl reset-failed -- a.service",
      "systemctl restart --no-block -- a.service",
    ]);
  });

  it("a name that is none of a service's never gets into a command", async () => {
    for (const name of ["a", "-a.service", "a.service;reboot", "$(x).service", "a b.service", "../a.service"]) {
      const { commands, units } = session([]);
      await assert.rejects(units.restart(name), (error: KmsEtcdError) => error.code === "invalid-input");
      await assert.rejects(units.states([name]), (error: KmsEtcdError) => error.code === "invalid-input");
      assert.deepEqual(commands, []);
    }
  });

  it("what systemctl or sudo says on a failure is told, with what to do", async () => {
    const said: readonly (readonly [Partial<CommandResult>, KmsEtcdError["code"]])[] = [
      [{ code: 1, stderr: "sudo: a password is required\n" }, "permission-denied"],
      [{ code: 127, stderr: "sh: 1: systemctl: not found\n" }, "unsupported"],
      [{ code: 1, stderr: "Failed to reload daemon: Transport endpoint is not connected\n" }, "blocked"],
    ];
    for (const [answer, code] of said) {
      await assert.rejects(session([answer]).units.reload(), (error: KmsEtcdError) => {
        assert.equal(error.code, code);
        assert.match(error.message, /^cp1: systemctl daemon-reload ended with \d+ \(/);
        assert.ok(error.remedy);
        return true;
      });
    }
  });
});
