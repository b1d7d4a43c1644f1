// Passkeys on the pages of a site: it runs the browser's dialogs for the forms that the
// server has marked. docs/passkeys.md lists the attributes. Binary data is base64url
// in JSON. It is converted here by hand, because extensions of some password managers
// break the browser's own toJSON.
(() => {
  'use strict';
  if (!window.PublicKeyCredential || !navigator.credentials) return;

  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const toText = (buffer) =>
    btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(''))
      .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

  // What the browser takes, from what the server sends.
  function toOptions(sent) {
    const options = { ...sent, challenge: toBytes(sent.challenge) };
    if (sent.user) options.user = { ...sent.user, id: toBytes(sent.user.id) };
    for (const list of ['excludeCredentials', 'allowCredentials']) {
      if (sent[list]) options[list] = sent[list].map((c) => ({ ...c, id: toBytes(c.id) }));
    }
    return options;
  }

  // What the server takes, from what the browser returns.
  function toAnswer(credential, rpId) {
    const from = credential.response;
    const response = {};
    for (const part of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle']) {
      if (from[part]) response[part] = toText(from[part]);
    }
    try {
      if (from.attestationObject) response.transports = from.getTransports();
    } catch { /* an older browser, or an extension: the server does without */ }
    const id = toText(credential.rawId);
    return JSON.stringify({ id, rawId: id, type: credential.type, response, clientExtensionResults: {}, rpId });
  }

  // The options of a form: in the page, or fetched when they are needed.
  async function load(form, signal) {
    if (!form.dataset.passkeyUrl) return JSON.parse(form.dataset.passkey);
    const answer = await fetch(form.dataset.passkeyUrl, {
      headers: { Accept: 'application/json' }, credentials: 'same-origin', cache: 'no-store', signal,
    });
    if (!answer.ok) throw new Error(`passkeys: the server answered ${answer.status}`);
    return answer.json();
  }

  function send(form, data, credential) {
    const { rpId, rp } = data.publicKey;
    form.elements.namedItem('passkey').value = toAnswer(credential, rpId || rp.id);
    for (const input of form.querySelectorAll('[data-passkey-if]')) { // a box in another form
      const box = document.getElementById(input.dataset.passkeyIf);
      input.disabled = !box || !box.checked;
    }
    HTMLFormElement.prototype.submit.call(form); // a field may have the name "submit"
  }

  function say(form, text) {
    const message = form.querySelector('[data-passkey-message]');
    if (!message) return;
    message.textContent = text || '';
    message.hidden = !text;
  }

  // The browser has one dialog at a time. Before the dialog of a button opens, the request
  // that waits in the autofill must have ended.
  let busy = false;
  async function run(form, button) {
    if (busy) return;
    busy = true;
    say(form, '');
    try {
      await disarm();
      const data = await load(form);
      const publicKey = toOptions(data.publicKey);
      const credential = await navigator.credentials[data.kind === 'create' ? 'create' : 'get']({ publicKey });
      send(form, data, credential);
    } catch (error) {
      busy = false;
      if (error.name === 'InvalidStateError') say(form, form.dataset.passkeyExists || form.dataset.passkeyFailed);
      else if (error.name !== 'NotAllowedError' && error.name !== 'AbortError') say(form, form.dataset.passkeyFailed);
      if (button) button.focus();
      arm();
    }
  }

  // Autofill: a request waits, for as long as the page is open, until the user picks a
  // passkey in the field for the name. Its challenge is renewed before it expires.
  const autofill = document.querySelector('[data-passkey-autofill]');
  let waiting = null;
  function arm(failures = 0) {
    if (!autofill || busy || waiting) return;
    const mine = { controller: new AbortController(), until: Infinity };
    waiting = mine;
    const again = (after, count) => { mine.timer = setTimeout(() => disarm(mine).then(() => arm(count)), after); };
    const wait = async () => {
      try {
        const { signal } = mine.controller;
        if (!(await PublicKeyCredential.isConditionalMediationAvailable())) return;
        const data = await load(autofill, signal);
        const renew = data.publicKey.timeout * 3 / 4;
        mine.until = Date.now() + renew;
        again(renew, 0);
        const publicKey = toOptions(data.publicKey);
        const credential = await navigator.credentials.get({ publicKey, mediation: 'conditional', signal });
        if (waiting === mine) send(autofill, data, credential);
      } catch {
        clearTimeout(mine.timer);
        if (waiting === mine) again(Math.min(1000 * 2 ** failures, 120000), failures + 1);
      }
    };
    mine.done = wait();
  }

  async function disarm(only = waiting) {
    if (!only || only !== waiting) return;
    waiting = null;
    clearTimeout(only.timer);
    only.controller.abort();
    await Promise.race([only.done, new Promise((done) => { setTimeout(done, 500); })]); // it may not end
  }

  // Timers stand still while a computer sleeps.
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && waiting && Date.now() > waiting.until) disarm().then(() => arm());
  });
  // The page was left, and comes back as it was.
  window.addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    busy = false;
    disarm().then(() => arm());
  });

  for (const form of document.querySelectorAll('[data-passkey], [data-passkey-url]')) {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      run(form, event.submitter || form.querySelector('button, [type=submit]'));
    });
    form.hidden = false;
  }
  for (const text of document.querySelectorAll('[data-passkey-without]')) text.hidden = true;
  if (PublicKeyCredential.isConditionalMediationAvailable) arm();

  // A form tells the server whether this device could keep a passkey.
  const able = document.querySelectorAll('input[data-passkey-able]');
  if (able.length && PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable) {
    PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable()
      .then((yes) => { for (const input of able) input.disabled = !yes; }).catch(() => {});
  }

  // What the browser should know about the user's passkeys.
  const signal = (method, value) => {
    if (PublicKeyCredential[method]) PublicKeyCredential[method](value).catch(() => {});
  };
  for (const { dataset } of document.querySelectorAll('[data-passkey-known]')) {
    const { rpId, userId, credentialIds, name, displayName } = JSON.parse(dataset.passkeyKnown);
    signal('signalAllAcceptedCredentials', { rpId, userId, allAcceptedCredentialIds: credentialIds });
    signal('signalCurrentUserDetails', { rpId, userId, name, displayName });
  }
  for (const { dataset } of document.querySelectorAll('[data-passkey-unknown]')) {
    const { rpId, credentialId } = JSON.parse(dataset.passkeyUnknown);
    signal('signalUnknownCredential', { rpId, credentialId });
  }
})();
