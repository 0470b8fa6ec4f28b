// GraphiQL for this server: a token that only this page's memory keeps, fetch for queries, graphql-ws for subscriptions.
import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import "graphiql/style.css";
import { createClient } from "graphql-ws";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import "./page.css";

const ADDRESS = new URL(window.location.pathname, window.location.origin);
const SOCKET = new URL(ADDRESS);
SOCKET.protocol = SOCKET.protocol === "https:" ? "wss:" : "ws:";
const FIRST_QUERY = `# Ctrl-Enter runs the operation under the cursor.
query Workflows {
  workflows(limit: 10) {
    id
    name
    status
    recentExecutions(limit: 3) {
      id
      status
      duration
    }
  }
}
`;

// What is typed may hold secrets: GraphiQL's tabs and history end with the page, too.
function memoryStorage() {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => kept.set(key, String(value)),
    removeItem: (key) => kept.delete(key),
    clear: () => kept.clear(),
    get length() {
      return kept.size;
    },
  };
}

async function logIn(username, password) {
  const response = await fetch("/api/v1/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  const body = await response.json();
  if (!body.success) {
    throw new Error(body.errors[0].message);
  }
  return body.data.access_token;
}

function fetcherFor(token) {
  const authorization = `Bearer ${token}`;
  return createGraphiQLFetcher({
    url: ADDRESS.href,
    headers: { Authorization: authorization },
    wsClient: createClient({ url: SOCKET.href, connectionParams: { Authorization: authorization } }),
  });
}

function Credentials({ onToken }) {
  const [fault, setFault] = useState("");
  const enter = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    try {
      const pasted = form.get("token").trim();
      onToken(pasted || (await logIn(form.get("username"), form.get("password"))));
    } catch (error) {
      setFault(error.message);
    }
  };
  return (
    <form className="credentials" onSubmit={enter}>
      <h1>GraphQL</h1>
      <label>
        E-mail or username <input name="username" autoComplete="username" />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" />
      </label>
      <p>or</p>
      <label>
        Token or API key <input name="token" type="password" autoComplete="off" />
      </label>
      <button type="submit">Open</button>
      <p role="alert">{fault}</p>
    </form>
  );
}

function Page() {
  const [session, setSession] = useState(null);
  if (session === null) {
    return <Credentials onToken={(token) => setSession({ fetcher: fetcherFor(token), storage: memoryStorage() })} />;
  }
  return (
    <GraphiQL
      fetcher={session.fetcher}
      storage={session.storage}
      defaultQuery={FIRST_QUERY}
      isHeadersEditorEnabled={false}
      showPersistHeadersSettings={false}
    />
  );
}

createRoot(document.getElementById("graphiql")).render(<Page />);
