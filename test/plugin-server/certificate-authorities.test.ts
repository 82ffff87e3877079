import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import { certificateAuthorities } from "../../plugin-server/certificate-authorities";

describe("the certificate authorities that the cloud is asked by", () => {
  let directory: string;
  const file = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-authorities-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("are Node's own where the host has no file of them, as in the image", () => {
    assert.equal(certificateAuthorities({}, [join(directory, "none")]), undefined);
    assert.equal(certificateAuthorities({ SSL_CERT_FILE: "", SSL_CERT_DIR: "" }, []), undefined);
  });

  it("are the host's where a manifest mounts them, in the first of the places that Go knows", () => {
    const [first, second] = [file("a", "A"), file("b", "B")];
    assert.deepEqual(certificateAuthorities({}, [join(directory, "none"), first, second]), ["A"]);
  });

  it("are those of SSL_CERT_FILE and SSL_CERT_DIR in the place of the host's", () => {
    const host = file("host", "H");
    mkdirSync(join(directory, "one", "folder"), { recursive: true });
    const certificate = "-----BEGIN CERTIFICATE-----\n";
    file("one/ca.pem", certificate);
    file("one/README", "no certificate");
    const named = { SSL_CERT_FILE: file("own", "O"), SSL_CERT_DIR: `${directory}/one:${directory}/none` };
    assert.deepEqual(certificateAuthorities(named, [host]), ["O", certificate]);
  });

  it("have those of NODE_EXTRA_CA_CERTS beside them", () => {
    const NODE_EXTRA_CA_CERTS = file("extra", "X");
    assert.deepEqual(certificateAuthorities({ NODE_EXTRA_CA_CERTS }, [file("host", "H")]), ["H", "X"]);
    assert.equal(certificateAuthorities({ NODE_EXTRA_CA_CERTS }, []), undefined);
  });

  it("stop the start when a variable names nothing readable", () => {
    assert.throws(
      () => certificateAuthorities({ SSL_CERT_FILE: join(directory, "none") }, []),
      (error) => error instanceof KmsEtcdError && error.message.startsWith("SSL_CERT_FILE names "),
    );
  });
});
