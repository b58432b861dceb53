package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k3s.local/k3s/pki"
	"k3s.local/k3s/supervisor"
	"k3s.local/k3s/token"
)

const (
	requestTimeout   = 15 * time.Second
	maxResponseBytes = 4 << 20
)

// serverClient speaks to a server's supervisor endpoints.
type serverClient struct {
	url      string
	caBundle []byte
	user     string
	password string
	client   *http.Client
}

// trustServer fetches the cluster's CA and checks it with the token. A token in the short format has nothing to check
// it with: then whoever answers is trusted, as K3s does (docs.k3s.io/cli/token, "Token Format").
func trustServer(ctx context.Context, url string, secret token.Token) (*serverClient, error) {
	// Nothing secret is sent before the CA is known.
	blind := &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	bundle, err := (&serverClient{url: url, client: blind}).do(ctx, http.MethodGet, "/cacerts", nil, nil)
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if err := secret.CheckCA(bundle); err != nil {
		return nil, err
	}
	pool, err := pki.Pool(bundle)
	if err != nil {
		return nil, fmt.Errorf("failed to read CA certs: %w", err)
	}
	user := secret.User
	if user == "" {
		user = "node"
	}
	return &serverClient{
		url:      url,
		caBundle: bundle,
		user:     user,
		password: secret.Secret,
		client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool},
			// The next request may go to another server.
			DisableKeepAlives: true,
		}},
	}, nil
}

// ErrNotAuthorized is a server's answer to another token than the cluster's.
var ErrNotAuthorized = errors.New("not authorized")

// Ask fetches `path` from the server at `url` in the name of a server that joins its cluster.
func Ask(ctx context.Context, url string, secret token.Token, path string) ([]byte, error) {
	secret.User = "server"
	client, err := trustServer(ctx, url, secret)
	if err != nil {
		return nil, err
	}
	return client.do(ctx, http.MethodGet, path, nil, nil)
}

func (c *serverClient) cluster(ctx context.Context) (supervisor.ClusterConfig, error) {
	var config supervisor.ClusterConfig
	text, err := c.do(ctx, http.MethodGet, "/v1-k3s/config", nil, nil)
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(text, &config)
}

func (c *serverClient) servers(ctx context.Context) ([]string, error) {
	var servers []string
	text, err := c.do(ctx, http.MethodGet, "/v1-k3s/apiservers", nil, nil)
	if err != nil {
		return nil, err
	}
	return servers, json.Unmarshal(text, &servers)
}

func (c *serverClient) clientCA(ctx context.Context) ([]byte, error) {
	return c.do(ctx, http.MethodGet, "/v1-k3s/client-ca.crt", nil, nil)
}

// sign has a certificate request signed for this node.
func (c *serverClient) sign(ctx context.Context, path string, request []byte, node identity) ([]byte, error) {
	return c.do(ctx, http.MethodPost, path, request, map[string]string{
		supervisor.NodeNameHeader:     node.name,
		supervisor.NodePasswordHeader: node.password,
		supervisor.NodeIPHeader:       strings.Join(append(node.internal, node.external...), ","),
	})
}

func (c *serverClient) do(ctx context.Context, method, path string, body []byte, headers map[string]string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if c.password != "" {
		request.SetBasicAuth(c.user, c.password)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes))
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf("%s: %s: %w", path, response.Status, ErrNotAuthorized)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, response.Status, strings.TrimSpace(string(text)))
	}
	return text, nil
}
