/** An error as AWS KMS puts it on the wire: HTTP status 400 unless it is AWS's own fault, and a type that clients go by. */
export class KmsWireError extends Error {
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}
