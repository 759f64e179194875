// node schema.mjs PACKAGES INFRA: holds the Terraform files under INFRA against the schemas of the providers, as they are declared in
// the npm packages @cdktf/provider-*, and speaks TAP. What it knows of a value is its literal type; expressions are trusted to have the
// right type, but what they refer to must exist. Then it breaks a copy in one way after the other, to prove that it would notice.
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [packages, infra] = process.argv.slice(2);
const hcl = createRequire(import.meta.url)(join(packages, "hcl2-parser"));

// ---- the schema, read from TypeScript declarations ------------------------------------------------------------------

const META = {
  resource: ["count", "for_each", "depends_on", "provider", "lifecycle"],
  data: ["count", "for_each", "depends_on", "provider"],
  ephemeral: ["count", "for_each", "depends_on", "provider", "lifecycle"],
};
const PROVIDERS = { google: "provider-google", random: "provider-random" };

// An interface is a set of rows: the Terraform name is in the link to the documentation, the question mark says what is optional.
function readInterfaces(text) {
  const interfaces = {};
  for (const [, name, body] of text.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)) {
    const rows = {};
    for (const [, snake, optional, type] of body.matchAll(
      /#(\w+) [\w#]+\}\n(?:[^/]*\n)?\s*\*\/\n\s*readonly \w+(\??): ([^;]+);/g,
    ))
      rows[snake] = { required: optional === "", type: type.replace(" | cdktf.IResolvable", "").trim() };
    interfaces[name] = rows;
  }
  return interfaces;
}

const schemas = new Map();
function schemaOf(kind, type) {
  const key = `${kind} ${type}`;
  if (!schemas.has(key)) schemas.set(key, readSchema(kind, type));
  return schemas.get(key);
}
function readSchema(kind, type) {
  const [, provider, rest] = type.match(/^([a-z]+)_(.+)$/) ?? [];
  // An ephemeral resource has the arguments of the resource of its name.
  const folder = (kind === "data" ? `data-${provider}-` : "") + (rest ?? "").replaceAll("_", "-");
  const file = join(packages, PROVIDERS[provider] ?? "none", "lib", folder, "index.d.ts");
  if (!existsSync(file)) return null;
  const text = readFileSync(file, "utf8");
  const resource = text.indexOf(`tfResourceType = "${type}"`);
  if (resource < 0) return null;
  const interfaces = readInterfaces(text);
  const [, main] = text.match(/export interface (\w+) extends cdktf\.TerraformMetaArguments/);
  // What can be referred to: the getters of the resource's own class, which is the last one of the file.
  const attributes = new Set([...text.slice(resource).matchAll(/get (\w+)\(\)/g)].map((match) => match[1]));
  return { interfaces, main, attributes };
}

// ---- the files ------------------------------------------------------------------------------------------------------

function readModule(folder) {
  const module = { resource: {}, data: {}, ephemeral: {}, variable: {}, output: {}, locals: {}, module: {}, texts: [] };
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".tf"))) {
    const [tree, problem] = hcl.parseToObject(readFileSync(join(folder, file), "utf8"));
    if (problem) throw new Error(`${folder}/${file}: ${problem.Detail ?? JSON.stringify(problem)}`);
    module.texts.push(tree);
    for (const kind of ["resource", "data", "ephemeral"])
      for (const [type, named] of Object.entries(tree[kind] ?? {}))
        for (const [name, bodies] of Object.entries(named)) module[kind][`${type}.${name}`] = bodies[0];
    for (const kind of ["variable", "output", "module"])
      for (const [name, bodies] of Object.entries(tree[kind] ?? {})) module[kind][name] = bodies[0];
    for (const body of tree.locals ?? []) Object.assign(module.locals, body);
  }
  return module;
}

const isExpression = (value) => typeof value === "string" && /^\$\{[\s\S]*\}$/.test(value);
const isBlocks = (value) =>
  Array.isArray(value) && value.every((item) => item && typeof item === "object" && !Array.isArray(item));

function hasType(value, type) {
  if (isExpression(value)) return true;
  if (type === "string") return typeof value === "string";
  if (type === "number") return typeof value === "number";
  if (type === "boolean") return typeof value === "boolean";
  if (type.endsWith("[]")) return Array.isArray(value) && value.every((item) => hasType(item, type.slice(0, -2)));
  if (type.startsWith("{")) return typeof value === "object" && value !== null && !Array.isArray(value);
  return false;
}

// A `dynamic "x"` counts as a block x with its content.
function withDynamic(body) {
  const { dynamic, ...plain } = body;
  for (const [name, bodies] of Object.entries(dynamic ?? {}))
    plain[name] = [...(plain[name] ?? []), ...bodies.flatMap((one) => one.content)];
  return plain;
}

function checkBody(where, body, schema, rows, extra, problems) {
  const given = withDynamic(body);
  for (const [name, value] of Object.entries(given)) {
    if (extra.includes(name)) continue;
    const row = rows[name];
    if (!row) {
      problems.push(`${where}: nothing is called ${name} here`);
      continue;
    }
    const nested = schema.interfaces[row.type.replace("[]", "")];
    if (!nested) {
      if (!hasType(value, row.type)) problems.push(`${where}: ${name} is not a ${row.type.replace(/\s+/g, " ")}`);
    } else if (!isBlocks(value)) {
      problems.push(`${where}: ${name} is a block, not an argument`);
    } else {
      if (value.length > 1 && !row.type.endsWith("[]")) problems.push(`${where}: ${name} may be there once`);
      for (const one of value) checkBody(`${where}.${name}`, one, schema, nested, [], problems);
    }
  }
  for (const [name, row] of Object.entries(rows))
    if (row.required && !(name in given)) problems.push(`${where}: ${name} is required`);
}

// ---- references -----------------------------------------------------------------------------------------------------

const camel = (snake) => snake.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

function* expressions(value) {
  if (typeof value === "string") {
    if (value.includes("${") || value.includes("%{")) yield value;
  } else if (value && typeof value === "object") for (const inner of Object.values(value)) yield* expressions(inner);
}

function checkReferences(where, module, modules, problems) {
  const used = new Set();
  for (const text of expressions(module.texts)) {
    for (const [, kind, name] of text.matchAll(/\b(var|local)\.(\w+)/g)) {
      used.add(`${kind}.${name}`);
      if (!(name in (kind === "var" ? module.variable : module.locals)))
        problems.push(`${where}: ${kind}.${name} is not declared`);
    }
    for (const [, name, output] of text.matchAll(/\bmodule\.(\w+)(?:\.(\w+))?/g))
      if (!module.module[name]) problems.push(`${where}: module.${name} is not declared`);
      else if (output && !modules[module.module[name].source]?.output[output])
        problems.push(`${where}: module.${name} has no output ${output}`);
    for (const [, prefix, type, name, attribute] of text.matchAll(
      /(?<![\w.])(data\.|ephemeral\.)?((?:google|random)_\w+)\.(\w+)(?:\[[^\]]*\])?(?:\.(\w+))?/g,
    )) {
      const kind = (prefix ?? "resource.").slice(0, -1);
      if (!module[kind][`${type}.${name}`]) problems.push(`${where}: ${kind} ${type}.${name} is not declared`);
      else if (attribute && !schemaOf(kind, type)?.attributes.has(camel(attribute)))
        problems.push(`${where}: ${type} has no attribute ${attribute}`);
    }
  }
  for (const name of Object.keys(module.variable))
    if (!used.has(`var.${name}`)) problems.push(`${where}: variable ${name} is not used`);
  for (const name of Object.keys(module.locals))
    if (!used.has(`local.${name}`)) problems.push(`${where}: local ${name} is not used`);
}

function checkCalls(where, module, modules, problems) {
  for (const [name, { source, ...given }] of Object.entries(module.module)) {
    const variables = modules[source]?.variable;
    if (!variables) {
      problems.push(`${where}: module ${name}: no folder ${source}`);
      continue;
    }
    for (const argument of Object.keys(given))
      if (!variables[argument]) problems.push(`${where}: module ${name} has no variable ${argument}`);
    for (const [variable, body] of Object.entries(variables))
      if (!("default" in body) && !(variable in given))
        problems.push(`${where}: module ${name}: ${variable} is required`);
  }
}

function check(folder) {
  const problems = [];
  const names = ["pawl", "development", "production"];
  const modules = Object.fromEntries(names.map((name) => [`../${name}`, readModule(join(folder, name))]));
  let count = 0;
  for (const name of names) {
    const module = modules[`../${name}`];
    for (const kind of ["resource", "data", "ephemeral"])
      for (const [address, body] of Object.entries(module[kind])) {
        const type = address.split(".")[0];
        const schema = schemaOf(kind, type);
        if (schema)
          checkBody(`${name}: ${address}`, body, schema, schema.interfaces[schema.main], META[kind], problems);
        else problems.push(`${name}: there is no ${kind} ${type}`);
        count++;
      }
    checkCalls(name, module, modules, problems);
    checkReferences(name, module, modules, problems);
  }
  return { problems, count };
}

// ---- TAP ------------------------------------------------------------------------------------------------------------

let tests = 0,
  failed = 0;
function ok(condition, name, details = []) {
  console.log(`${condition ? "ok" : "not ok"} ${++tests} - ${name}`);
  if (!condition) failed++;
  if (!condition) for (const line of details) console.log(`#   ${line}`);
}

const real = check(infra);
ok(real.problems.length === 0, `${real.count} resources fit the schema of their provider`, real.problems);
ok(real.count > 40, "and they were looked at", [`only ${real.count} were found`]);

// [what is broken, file, from, to, the complaint that must come]
const faults = [
  [
    "an unknown argument",
    "pawl/topics.tf",
    "ack_deadline_seconds       = var",
    "ack_deadline = var",
    /push: nothing is called ack_deadline/,
  ],
  [
    "a literal of the wrong type",
    "pawl/topics.tf",
    "= var.ack_deadline\n",
    '= "soon"\n',
    /ack_deadline_seconds is not a number/,
  ],
  ["a missing required argument", "pawl/identity.tf", /  role +=.*\n/, "", /role is required/],
  ["a missing required block", "pawl/database.tf", /  replication \{[\s\S]*?\n  \}\n/, "", /replication is required/],
  [
    "a missing required argument of a block",
    "pawl/topics.tf",
    /    ttl = .*\n/,
    "",
    /expiration_policy: ttl is required/,
  ],
  [
    "an unknown type",
    "pawl/topics.tf",
    '"google_pubsub_topic" "dead"',
    '"google_pubsub_queue" "dead"',
    /no resource google_pubsub_queue/,
  ],
  ["an unknown block", "pawl/topics.tf", "oidc_token {", "oidc {", /push_config: nothing is called oidc/],
  ["a block written as an argument", "pawl/topics.tf", "retry_policy {", "retry_policy = {", /retry_policy is a block/],
  ["an argument written as a block", "pawl/images.tf", /format +=.*/, "format {}", /format is not a string/],
  [
    "a block that may be there once, twice",
    "pawl/topics.tf",
    "  retry_policy {",
    "  retry_policy {}\n  retry_policy {",
    /retry_policy may be there once/,
  ],
  [
    "a fault inside a dynamic block",
    "pawl/service.tf",
    "mount_path =",
    "mount =",
    /volume_mounts: nothing is called mount/,
  ],
  [
    "a reference to an attribute that is not there",
    "pawl/topics.tf",
    "pawl.uri}",
    "pawl.url}",
    /google_cloud_run_v2_service has no attribute url/,
  ],
  [
    "a reference to a resource that is not there",
    "pawl/topics.tf",
    "google_pubsub_topic.dead.id\n",
    "google_pubsub_topic.grave.id\n",
    /google_pubsub_topic.grave is not declared/,
  ],
  ["a variable that is not declared", "pawl/topics.tf", "var.retention", "var.retain", /var.retain is not declared/],
  [
    "a variable that nothing uses",
    "pawl/variables.tf",
    'variable "project"',
    'variable "idle" {}\nvariable "project"',
    /variable idle is not used/,
  ],
  [
    "an unknown argument of the module",
    "production/main.tf",
    "alert_emails =",
    "alarm_emails =",
    /module pawl has no variable alarm_emails/,
  ],
  [
    "a missing argument of the module",
    "production/main.tf",
    /  region +=.*\n  github/,
    "  github",
    /module pawl: region is required/,
  ],
  [
    "a user of an unknown kind of argument",
    "pawl/database.tf",
    '  type            = "CLOUD_IAM',
    '  kind            = "CLOUD_IAM',
    /google_sql_user.iam: nothing is called kind/,
  ],
  [
    "a flag without its value",
    "pawl/database.tf",
    /        value = "on"\n/,
    "",
    /database_flags: value is required/,
  ],
  [
    "a reference to an attribute of a list of resources that is not there",
    "pawl/targets.tf",
    "targets[*].name",
    "targets[*].title",
    /google_secret_manager_secret_version has no attribute title/,
  ],
  ["an output that the module has not", "production/main.tf", "module.pawl.next", "module.pawl.last", /no output last/],
];
for (const [name, file, from, to, complaint] of faults) {
  const copy = mkdtempSync(join(tmpdir(), "pawl-schema-"));
  cpSync(infra, copy, { recursive: true });
  const before = readFileSync(join(copy, file), "utf8");
  const after = before.replace(from, () => to);
  writeFileSync(join(copy, file), after);
  let problems;
  try {
    problems = before === after ? ["the fault could not be planted"] : check(copy).problems;
  } catch (error) {
    problems = [error.message];
  }
  ok(
    problems.some((problem) => complaint.test(problem)),
    `${name} is noticed`,
    problems,
  );
  rmSync(copy, { recursive: true });
}
console.log(`1..${tests}`);
process.exitCode = failed ? 1 : 0;
