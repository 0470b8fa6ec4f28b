// Shows the document that this server makes; no file and no check of anybody else's.
SwaggerUIBundle({
  url: "/api/v1/schema?format=json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  validatorUrl: null,
});
