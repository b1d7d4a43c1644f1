'use strict';
const find = (id) => document.getElementById(id);
const say = (text) => { find('message').textContent = text; };
const show = (id) => { for (const part of document.querySelectorAll('section')) part.hidden = part.id !== id; };

// Asks the site for JSON. What is refused is thrown: an object with a code and a title.
async function call(path, fields) {
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  const answer = await fetch(path, { method: fields ? 'POST' : 'GET', headers, body: fields && JSON.stringify(fields) });
  const data = await answer.json();
  if (!answer.ok) throw data;
  return data;
}

// Runs an action, and shows who is logged in then. The site says what a login waits for.
async function run(action) {
  say('');
  try {
    await action();
    find('user').textContent = (await call('/account')).user.username;
    show('in');
  } catch (problem) {
    if (problem.pending) return askFactor(problem).catch((error) => say(error.title || error.message));
    if (problem.code === 'not-logged-in') return show('out');
    say([problem.title || problem.message, ...Object.values(problem.fields || {})].join(' '));
  }
}

// Shows the form for the second factor. If it is a passkey, the browser asks for it.
async function askFactor(problem) {
  const page = await call(problem.next || '/login/verify');
  if (page.passkey) return run(() => usePasskey(page.passkey.action, page.passkey.options));
  find('verify').action = page.form.action;
  find('asked').textContent = page.form.fields[0].label;
  show('factor');
  find('verify').elements.code.focus();
}

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const toText = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

// Asks the browser for a passkey, and sends it.
async function usePasskey(action, asked) {
  const publicKey = { ...asked.publicKey, challenge: toBytes(asked.publicKey.challenge) };
  publicKey.allowCredentials = (publicKey.allowCredentials || []).map((c) => ({ ...c, id: toBytes(c.id) }));
  const { rawId, type, response: from } = await navigator.credentials.get({ publicKey });
  const id = toText(rawId), response = {};
  for (const part of ['clientDataJSON', 'authenticatorData', 'signature', 'userHandle']) {
    if (from[part]) response[part] = toText(from[part]);
  }
  const passkey = JSON.stringify({ id, rawId: id, type, response, clientExtensionResults: {}, rpId: publicKey.rpId });
  await call(action, { passkey });
}

const actions = {
  login: (fields) => call('/login', fields),
  logout: () => call('/logout', {}),
  verify: (fields) => call(find('verify').getAttribute('action'), fields),
  async register(fields) {
    await call('/register', { ...fields, confirm_password: fields.password });
    await call('/login', { login: fields.username, password: fields.password });
  },
};
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    form.reset();
    run(() => actions[form.id](fields));
  });
}
find('by-passkey').addEventListener('click', () => run(async () => usePasskey('/login/passkey', await call('/login/passkey'))));
run(() => {});
