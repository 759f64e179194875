// node pipeline.mjs PACKAGES TOP: checks cloudbuild.yaml (keys, order, substitutions, names that infra/ gives, scripts) and the workflows
// under infra/github/ (actionlint, names, scripts), and speaks TAP. Then it breaks a copy in one way after the other.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [packages, top] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const yaml = require(join(packages, "yaml"));
const { runLint } = require(join(packages, "actionlint", "build", "run-lint.js"));
const read = (file) => readFileSync(join(top, file), "utf8");

const have = (tool) => spawnSync(tool, ["--version"]).status === 0;
const shellcheck = have("shellcheck");

// A script is plain bash: it parses, and shellcheck (where installed) finds nothing in it.
function checkScript(where, script, problems) {
  const parsed = spawnSync("bash", ["-n"], { input: script, encoding: "utf8" });
  if (parsed.status !== 0) problems.push(`${where}: ${parsed.stderr.trim()}`);
  if (!shellcheck) return;
  const checked = spawnSync("shellcheck", ["--shell=bash", "--format=gcc", "-"], { input: script, encoding: "utf8" });
  if (checked.status !== 0) problems.push(`${where}: ${checked.stdout.trim()}`);
}

// ---- Cloud Build ----------------------------------------------------------------------------------------------------

const TOP_KEYS = [
  "steps",
  "substitutions",
  "timeout",
  "options",
  "images",
  "serviceAccount",
  "tags",
  "artifacts",
  "availableSecrets",
  "logsBucket",
];
const STEP_KEYS = [
  "id",
  "name",
  "script",
  "args",
  "entrypoint",
  "env",
  "dir",
  "waitFor",
  "timeout",
  "secretEnv",
  "volumes",
  "allowFailure",
  "automapSubstitutions",
];
const OPTION_KEYS = [
  "logging",
  "automapSubstitutions",
  "dynamicSubstitutions",
  "machineType",
  "substitutionOption",
  "env",
  "pool",
  "diskSizeGb",
  "requestedVerifyOption",
];
const BUILT_IN = [
  "PROJECT_ID",
  "PROJECT_NUMBER",
  "BUILD_ID",
  "LOCATION",
  "COMMIT_SHA",
  "SHORT_SHA",
  "REPO_NAME",
  "BRANCH_NAME",
  "TAG_NAME",
  "REVISION_ID",
];
const ORDER = ["test", "build", "push", "deploy", "migrate"];

function unknownKeys(where, object, known, problems) {
  for (const key of Object.keys(object ?? {}))
    if (!known.includes(key)) problems.push(`${where}: no key is called ${key}`);
}

// The ids of all steps that surely have ended before this one starts.
function before(steps, id, seen = new Set()) {
  for (const earlier of steps.find((step) => step.id === id)?.waitFor ?? [])
    if (earlier !== "-" && !seen.has(earlier)) before(steps, earlier, seen.add(earlier));
  return seen;
}

function checkBuild(text) {
  const problems = [];
  const document = yaml.parseDocument(text);
  if (document.errors.length) return document.errors.map((error) => `cloudbuild.yaml: ${error.message}`);
  const build = document.toJS();
  unknownKeys("cloudbuild.yaml", build, TOP_KEYS, problems);
  unknownKeys("options", build.options, OPTION_KEYS, problems);
  if (!/^\d+s$/.test(build.timeout ?? "")) problems.push("timeout is not a number of seconds such as 600s");
  // A build that runs as a service account of its own must say where its log goes.
  if (!["CLOUD_LOGGING_ONLY", "NONE"].includes(build.options?.logging))
    problems.push("options.logging must be CLOUD_LOGGING_ONLY");
  if (build.options?.automapSubstitutions !== true)
    problems.push("scripts see no substitutions without automapSubstitutions");
  if (build.options?.dynamicSubstitutions !== true) problems.push("_RELEASE needs dynamicSubstitutions");

  const ids = build.steps.map((step) => step.id);
  if (ids.join() !== ORDER.join()) problems.push(`the steps are ${ids.join(", ")}, not ${ORDER.join(", ")}`);
  build.steps.forEach((step, index) => {
    const where = `step ${step.id}`;
    unknownKeys(where, step, STEP_KEYS, problems);
    if (!step.name) problems.push(`${where} has no image`);
    for (const id of step.waitFor ?? [])
      if (id !== "-" && ids.indexOf(id) < 0) problems.push(`${where} waits for ${id}, which is no step`);
      else if (ids.indexOf(id) >= index) problems.push(`${where} waits for ${id}, which comes later`);
    if (!step.script?.startsWith("#!/bin/bash\nset -euo pipefail\n"))
      problems.push(`${where}: a script starts with #!/bin/bash and set -euo pipefail`);
    checkScript(where, step.script ?? "", problems);
  });
  for (const [id, needs] of [
    ["push", "test"],
    ["push", "build"],
    ["deploy", "test"],
    ["deploy", "push"],
    ["migrate", "deploy"],
  ])
    if (!before(build.steps, id).has(needs)) problems.push(`${id} does not wait for ${needs}`);

  const used = new Set(
    [...text.replace(/^#.*$/gm, "").matchAll(/\$\{?(_[A-Z_]+|[A-Z]+_[A-Z_]+)\b/g)].map((match) => match[1]),
  );
  const declared = Object.keys(build.substitutions ?? {});
  for (const name of used)
    if (!declared.includes(name) && !BUILT_IN.includes(name)) problems.push(`${name} is no substitution`);
  for (const name of declared) {
    if (!used.has(name)) problems.push(`${name} is declared and not used`);
    if (!new RegExp(`^#   ${name} +\\S`, "m").test(text)) problems.push(`${name} is not documented`);
    if (typeof build.substitutions[name] !== "string") problems.push(`${name} is not a string`);
  }
  return problems;
}

// ---- GitHub ---------------------------------------------------------------------------------------------------------

async function checkWorkflow(file, text) {
  const problems = (await runLint(text, file)).map(({ line, message }) => `${file}:${line}: ${message}`);
  const document = yaml.parseDocument(text);
  if (document.errors.length) return [...problems, ...document.errors.map((error) => `${file}: ${error.message}`)];
  const workflow = document.toJS();
  const permissions = workflow.permissions ?? {};
  if (permissions["id-token"] !== "write")
    problems.push(`${file}: without id-token: write there is no token to sign in with`);
  for (const [scope, level] of Object.entries(permissions))
    if (level === "write" && scope !== "id-token") problems.push(`${file}: ${scope}: write is not needed`);
  for (const [name, job] of Object.entries(workflow.jobs)) {
    for (const step of job.steps ?? []) {
      if (!step.run) continue;
      if (step.run.includes("${{"))
        problems.push(`${file}: job ${name}: an expression in a script can inject code; hand it over in env`);
      checkScript(`${file}: job ${name}`, step.run, problems);
    }
    for (const [variable] of text.matchAll(/\bvars\.\w+/g))
      if (!new RegExp(`^#   ${variable.slice(5)} +\\S`, "m").test(text))
        problems.push(`${file}: ${variable} is not documented`);
  }
  return problems;
}

// ---- both say what infra/ says --------------------------------------------------------------------------------------

// The names that the module makes, with NAME and PROJECT in place of the variables.
function namesOf(terraform) {
  const clear = (text) => text.replaceAll("${var.name}", "NAME").replaceAll("${var.project}", "PROJECT");
  const accounts = [...terraform.matchAll(/account_id +=\s+"([^"]+)"/g)].map(
    (match) => `${clear(match[1])}@PROJECT.iam.gserviceaccount.com`,
  );
  const topics = [...terraform.matchAll(/resource "google_pubsub_topic" "\w+" \{\n[^}]*?name += "([^"]+)"/g)].map(
    (match) => clear(match[1]),
  );
  const [, audience] = terraform.match(/audience += "([^"]+)"/);
  return { accounts, topics, audience: clear(audience) };
}

function checkNames(file, text, names) {
  const problems = [];
  const clear = text
    .replace(/\$\{\{ vars\.(\w+) \}\}/g, "$1")
    .replace(/\$\{?_?NAME\}?/g, "NAME")
    .replace(/\$\{?PROJECT(_ID)?\}?/g, "PROJECT");
  for (const [account] of clear.matchAll(/NAME-\w+@PROJECT\.iam[\w.]+/g))
    if (!names.accounts.includes(account)) problems.push(`${file}: infra/ makes no account ${account}`);
  for (const [, topic] of clear.matchAll(/--topic="([^"]+)"/g))
    if (!names.topics.includes(topic)) problems.push(`${file}: infra/ makes no topic ${topic}`);
  const audiences = [...clear.matchAll(/audience(?:=|: )"?(https:[^"\s]+)/g)].map((match) => match[1]);
  if (!audiences.length) problems.push(`${file}: no audience`);
  for (const audience of audiences)
    if (audience !== names.audience) problems.push(`${file}: the audience is ${names.audience}, not ${audience}`);
  if (!clear.includes("NAME-publisher@PROJECT")) problems.push(`${file}: publishes as nobody`);
  return problems;
}

// ---- TAP ------------------------------------------------------------------------------------------------------------

let tests = 0,
  failed = 0;
function ok(condition, name, details = []) {
  console.log(`${condition ? "ok" : "not ok"} ${++tests} - ${name}`);
  if (condition) return;
  failed++;
  for (const line of details) console.log(`#   ${line}`);
}

const names = namesOf(
  readdirSync(join(top, "infra/pawl"))
    .map((file) => read(`infra/pawl/${file}`))
    .join("\n"),
);
const build = read("cloudbuild.yaml");
const checkAllOfBuild = async (text) => [...checkBuild(text), ...checkNames("cloudbuild.yaml", text, names)];
const checkAllOfWorkflow = async (text) => [
  ...(await checkWorkflow("deploy.yaml", text)),
  ...checkNames("deploy.yaml", text, names),
];
ok(names.accounts.length === 4 && names.topics.length === 3, "the names of infra/ are found", [JSON.stringify(names)]);
const ofBuild = await checkAllOfBuild(build);
ok(ofBuild.length === 0, "cloudbuild.yaml holds together", ofBuild);
const workflows = readdirSync(join(top, "infra/github")).filter((file) => file.endsWith(".yaml"));
for (const file of workflows) {
  const problems = await checkAllOfWorkflow(read(`infra/github/${file}`));
  ok(problems.length === 0, `infra/github/${file} holds together`, problems);
}

const workflow = read("infra/github/deploy.yaml");
const faults = [
  [
    build,
    checkAllOfBuild,
    "a key that Cloud Build does not know",
    "waitFor: [push]",
    "waitsFor: [push]",
    /no key is called waitsFor/,
  ],
  [
    build,
    checkAllOfBuild,
    "a step that is waited for and is not there",
    "waitFor: [push]",
    "waitFor: [pull]",
    /waits for pull/,
  ],
  [
    build,
    checkAllOfBuild,
    "a push without the tests",
    "waitFor: [test, build]",
    "waitFor: [build]",
    /push does not wait for test/,
  ],
  [
    build,
    checkAllOfBuild,
    "a substitution that is not declared",
    "_WAIT: '3000'",
    "_WAITING: '3000'",
    /_WAIT is no substitution/,
  ],
  [
    build,
    checkAllOfBuild,
    "a substitution that is not documented",
    "#   _TARGET ",
    "#   target ",
    /_TARGET is not documented/,
  ],
  [build, checkAllOfBuild, "a script that does not parse", "docker push --quiet", 'docker push "--quiet', /step push/],
  [
    build,
    checkAllOfBuild,
    "a script that goes on after a failure",
    "set -euo pipefail\n      docker push",
    "docker push",
    /step push: a script starts with/,
  ],
  [build, checkAllOfBuild, "another account", "$_NAME-publisher@", "$_NAME-publish@", /no account NAME-publish@/],
  [build, checkAllOfBuild, "another topic", "$_NAME-migrate", "$_NAME-migrations", /no topic NAME-migrations/],
  [build, checkAllOfBuild, "another audience", ".internal", ".example", /the audience is/],
  [build, checkAllOfBuild, "a log that goes nowhere", "  logging: CLOUD_LOGGING_ONLY\n", "", /options.logging/],
  [
    workflow,
    checkAllOfWorkflow,
    "what actionlint refuses",
    "runs-on: ubuntu-latest",
    "run-on: ubuntu-latest",
    /run-on/,
  ],
  [
    workflow,
    checkAllOfWorkflow,
    "an expression of an unknown context",
    "${{ vars.REGION }}",
    "${{ var.REGION }}",
    /var/,
  ],
  [workflow, checkAllOfWorkflow, "no permission to ask for a token", "id-token: write", "id-token: none", /id-token/],
  [
    workflow,
    checkAllOfWorkflow,
    "more permission than needed",
    "contents: read",
    "contents: write",
    /contents: write is not needed/,
  ],
  [
    workflow,
    checkAllOfWorkflow,
    "an expression in a script",
    '--tag "$image" .',
    '--tag "${{ github.sha }}" .',
    /can inject code/,
  ],
  [
    workflow,
    checkAllOfWorkflow,
    "a variable that is not documented",
    "#   REGION ",
    "#   where ",
    /vars.REGION is not documented/,
  ],
  [
    workflow,
    checkAllOfWorkflow,
    "another audience",
    "id_token_audience: https://",
    "id_token_audience: https://x.",
    /the audience is/,
  ],
];
for (const [text, check, name, from, to, complaint] of faults) {
  const broken = text.replace(from, () => to);
  const problems = broken === text ? ["the fault could not be planted"] : await check(broken);
  ok(
    problems.some((problem) => complaint.test(problem)),
    `${name} is noticed`,
    problems,
  );
}
console.log(`1..${tests}`);
if (!shellcheck) console.log("# shellcheck is not installed: scripts were only parsed");
process.exit(failed ? 1 : 0); // the linter's runtime would stay for ever
