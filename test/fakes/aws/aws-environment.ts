/** The environment variables by which the AWS SDK finds credentials and more: exactly the given ones, whatever the machine has. */

const ours = /^(AWS_|HTTPS?_PROXY$|NO_PROXY$|SSL_CERT_(FILE|DIR)$)/i;

const isolation: Readonly<Record<string, string>> = {
  AWS_CONFIG_FILE: "/nonexistent/aws-config",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent/aws-credentials",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** Sets `variables` and nothing else that AWS's SDK looks at; the result puts back what was there. */
export function setAwsEnvironment(variables: Readonly<Record<string, string>>): () => void {
  const saved = Object.entries(process.env).filter(([name]) => ours.test(name));
  clear();
  Object.assign(process.env, isolation, variables);
  return () => {
    clear();
    Object.assign(process.env, Object.fromEntries(saved));
  };
}

function clear(): void {
  for (const name of Object.keys(process.env)) if (ours.test(name)) Reflect.deleteProperty(process.env, name);
}
