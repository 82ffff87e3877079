import assert from "node:assert/strict";
import { isUnitAsWritten, sealedUnit, unitDifferences } from "../../../../rotation/adapters/systemd/sealed-unit";
import { readStates } from "../../../../rotation/adapters/systemd/unit-control";
import { environmentOf, serviceUnit } from "../../../../rotation/adapters/systemd/unit-file";

describe("a unit's files", () => {
  it("a drop-in's empty assignment begins a list anew; lines go on over comments", () => {
    const unit = `[Unit]\nExecStart=/not/here\n[Service]\nUser=kube\nEnvironment="A=1 2" B=3\nEnvironmentFile=-/etc/a\nExecStart=/bin/x \\\n# why\n  --one \\\n  --two\n`;
    const dropIn =
      "[Service]\nUser=\nEnvironment=B=4\nEnvironmentFile=\nEnvironmentFile=/etc/b\nExecStart=\nExecStart=/bin/y\n";
    const whole = serviceUnit([unit, dropIn]);
    assert.deepEqual(whole.commands, ["/bin/y"]);
    assert.deepEqual(whole.environment, { A: "1 2", B: "4" });
    assert.deepEqual(whole.environmentFiles, ["/etc/b"]);
    assert.equal(whole.user, undefined);
    const alone = serviceUnit([unit]);
    assert.deepEqual([alone.commands, alone.user], [["/bin/x --one --two"], "kube"]);
  });

  it("a file of variables is read as a shell would", () => {
    const text = "# x\nexport A=\"--a=1 \\\n  --b=2\"\nB='$A \\ c' # no\n; y\nC=d\\ e\nnot a line\n";
    assert.deepEqual(environmentOf(text), { A: "--a=1   --b=2".replace("   ", " "), B: "$A \\ c # no", C: "d e" });
  });

  it("a seal is broken by any edit, and differences are named without their values", () => {
    const text = sealedUnit({ "kms-etcd.io/key": "v/k/1" }, "[Service]\nExecStart=/bin/x --secret\n");
    assert.ok(isUnitAsWritten(text));
    const edited = text.replace("--secret", "--other");
    assert.ok(!isUnitAsWritten(edited));
    assert.ok(!isUnitAsWritten("[Service]\nExecStart=/bin/x\n"));
    assert.deepEqual(unitDifferences(edited, text), ["[Service] ExecStart"]);
  });

  it("systemctl show => a state for each unit", () => {
    const shown = `Id=a.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nFragmentPath=/etc/a\nDropInPaths=/etc/b /etc/c\n\nJob=7\nId=b.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\nResult=success\nFragmentPath=\nDropInPaths=\n`;
    const [a, b] = readStates(shown);
    assert.deepEqual(a?.files, ["/etc/a", "/etc/b", "/etc/c"]);
    assert.deepEqual([a.result, a.hasJob, a.isLoaded], ["exit-code", false, true]);
    assert.deepEqual([b?.hasJob, b?.isLoaded, b?.files], [true, false, []]);
  });
});
