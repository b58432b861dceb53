// Package pki makes the cluster's authorities and the certificates they sign.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	// K3s's own lifetimes: docs.k3s.io/cli/certificate.
	authorityYears = 10
	leafDays       = 365
	clockSkew      = time.Hour
	serialBits     = 127
	serviceKeyBits = 2048
)

// Pair is a certificate and its private key, both PEM.
type Pair struct {
	Certificate []byte
	Key         []byte
}

// NewAuthority makes a self-signed CA, named as K3s names its own: `k3s-server-ca@<seconds>`.
func NewAuthority(name string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber:          big.NewInt(0),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", name, now.Unix())},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return sign(template, template, key, key.Public(), key)
}

// Client makes a client certificate for a user in groups.
func (authority Pair) Client(user string, groups ...string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return authority.issue(clientTemplate(user, groups), key.Public(), key)
}

// Serving makes a server's certificate. `names` are host names and IP addresses.
func (authority Pair) Serving(commonName string, names []string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	return authority.issue(servingTemplate(commonName, names), key.Public(), key)
}

// Peer makes a certificate for what is server and client at once, as the members of etcd are.
func (authority Pair) Peer(commonName string, names []string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	template := servingTemplate(commonName, names)
	template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	return authority.issue(template, key.Public(), key)
}

// SignClient signs the key of a certificate request (PEM) for a user in groups; what else the request asks for is
// not looked at.
func (authority Pair) SignClient(request []byte, user string, groups ...string) ([]byte, error) {
	public, err := requestKey(request)
	if err != nil {
		return nil, err
	}
	pair, err := authority.issue(clientTemplate(user, groups), public, nil)
	return pair.Certificate, err
}

// SignServing signs the key of a certificate request (PEM) for the names given here.
func (authority Pair) SignServing(request []byte, commonName string, names []string) ([]byte, error) {
	public, err := requestKey(request)
	if err != nil {
		return nil, err
	}
	pair, err := authority.issue(servingTemplate(commonName, names), public, nil)
	return pair.Certificate, err
}

// NewRequest makes a key and a certificate request for it, both PEM.
func NewRequest() (request, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyPEM(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), key, err
}

// NewServiceAccountKey makes the RSA key (PEM) that signs service account tokens.
func NewServiceAccountKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, serviceKeyBits)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
}

// Pool is a pool of the certificates in a PEM bundle.
func Pool(bundle []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, errors.New("no certificate found")
	}
	return pool, nil
}

func clientTemplate(user string, groups []string) x509.Certificate {
	return x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func servingTemplate(commonName string, names []string) x509.Certificate {
	template := x509.Certificate{
		Subject:     pkix.Name{CommonName: commonName, Organization: []string{"k3s"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	seen := map[string]bool{"": true}
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template
}

func (authority Pair) issue(template x509.Certificate, public crypto.PublicKey, private *ecdsa.PrivateKey) (Pair, error) {
	block, _ := pem.Decode(authority.Certificate)
	keyBlock, _ := pem.Decode(authority.Key)
	if block == nil || keyBlock == nil {
		return Pair{}, errors.New("the authority is not PEM")
	}
	parent, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Pair{}, err
	}
	signer, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return Pair{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return Pair{}, err
	}
	now := time.Now()
	template.NotBefore = now.Add(-clockSkew)
	template.NotAfter = now.AddDate(0, 0, leafDays)
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	pair, err := sign(template, *parent, signer, public, private)
	pair.Certificate = append(pair.Certificate, authority.Certificate...)
	return pair, err
}

func sign(template, parent x509.Certificate, signer *ecdsa.PrivateKey, public crypto.PublicKey, private *ecdsa.PrivateKey) (Pair, error) {
	der, err := x509.CreateCertificate(rand.Reader, &template, &parent, public, signer)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	if private != nil {
		pair.Key, err = keyPEM(private)
	}
	return pair, err
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}

func requestKey(request []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("no certificate request found")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return parsed.PublicKey, parsed.CheckSignature()
}
