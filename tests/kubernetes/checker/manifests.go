package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// A manifest is one object as it was written.
type manifest struct {
	metav1.PartialObjectMetadata

	file string
	json []byte
}

// object returns what messages call the object.
func (m manifest) object() string { return m.Kind + "/" + m.Name }

// A document is one YAML document or JSON value. It can have both JSON and an error: a key that is
// there twice is an error, and the last one counts for a reader that does not mind.
type document struct {
	json []byte
	err  error
}

// readManifests returns the objects in a file, those in a List each on its own, and the faults in
// its syntax.
//
// As for kubectl, the file has either YAML documents or JSON values, one after the other.
func readManifests(file string, stdin io.Reader) ([]manifest, []fault, error) {
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, nil, err
	}
	documents := yamlDocuments
	if yamlstream.IsJSONBuffer(data) {
		documents = jsonDocuments
	}
	var manifests []manifest
	var faults []fault
	for i, d := range documents(data) {
		name := fmt.Sprintf("document %d", i+1)
		read, err := objects(file, d.json)
		if len(read) > 0 {
			name = read[0].object()
		}
		if err = errors.Join(d.err, err); err != nil {
			faults = append(faults, fault{file, name, err.Error()})
		}
		manifests = append(manifests, read...)
	}
	return manifests, faults, nil
}

// readFile returns the content of a file, or of the standard input if its name is "-".
func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}

// yamlDocuments returns the documents of a YAML stream, except empty ones.
func yamlDocuments(data []byte) []document {
	var documents []document
	reader := yamlstream.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			return append(documents, document{err: err})
		}
		d := document{}
		if d.json, d.err = yaml.YAMLToJSONStrict(text); d.err != nil {
			d.json, _ = yaml.YAMLToJSON(text)
		}
		if d.err != nil || string(d.json) != "null" {
			documents = append(documents, d)
		}
	}
}

// jsonDocuments returns the values of a JSON stream.
func jsonDocuments(data []byte) []document {
	var documents []document
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			return documents
		}
		if err != nil {
			return append(documents, document{err: err})
		}
		documents = append(documents, document{json: value})
	}
}

// objects returns the object in a JSON value, or the objects in a List.
func objects(file string, data []byte) ([]manifest, error) {
	if data == nil {
		return nil, nil
	}
	m := manifest{file: file, json: data}
	err := json.Unmarshal(data, &m.PartialObjectMetadata)
	switch {
	case m.APIVersion == "":
		return nil, errors.Join(errors.New("apiVersion: Required value"), err)
	case m.Kind == "":
		return nil, errors.Join(errors.New("kind: Required value"), err)
	case m.Kind != "List" || m.APIVersion != "v1":
		// A fault in the metadata is found again when the whole object is decoded.
		return []manifest{m}, nil
	}
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	var manifests []manifest
	var problems []string
	for i, item := range list.Items {
		read, err := objects(file, item)
		if err != nil {
			problems = append(problems, fmt.Sprintf("items[%d].%v", i, err))
		}
		manifests = append(manifests, read...)
	}
	if problems != nil {
		return manifests, errors.New(strings.Join(problems, ", "))
	}
	return manifests, nil
}
