package admin

import (
	"reflect"
	"strings"
	"time"
)

// schemas makes JSON schemas of Go types, as encoding/json writes them. Structs
// with a name are kept under it once.
type schemas struct{ named object }

// of is the schema of a value's type.
func (s *schemas) of(value any) object { return s.ofType(reflect.TypeOf(value)) }

func (s *schemas) ofType(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return object{"anyOf": []object{s.ofType(t.Elem()), {"type": "null"}}}
	case t.Kind() == reflect.Struct && t.Name() != "" && t.PkgPath() != reflect.TypeFor[call]().PkgPath():
		return s.reference(t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return s.fields(t)
	case reflect.Slice:
		return object{"type": "array", "items": s.ofType(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": s.ofType(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.String:
		return object{"type": "string"}
	}
	panic("admin: no JSON schema for " + t.String()) // a type of the API that is new here
}

// body is the schema of a request: every field may be left out, and a list be
// null.
func (s *schemas) body(value any) object {
	schema := s.fields(reflect.TypeOf(value))
	delete(schema, "required")
	for _, property := range schema["properties"].(object) {
		if p := property.(object); p["type"] == "array" {
			p["type"] = []string{"array", "null"}
		}
	}
	return schema
}

// reference keeps a struct under its name.
func (s *schemas) reference(t reflect.Type) object {
	if s.named == nil {
		s.named = object{}
	}
	if _, known := s.named[t.Name()]; !known {
		s.named[t.Name()] = nil // it may hold itself
		s.named[t.Name()] = s.fields(t)
	}
	return object{"$ref": "#/components/schemas/" + t.Name()}
}

// fields is the object that a struct is written as. A field that may be left
// out is not required.
func (s *schemas) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		properties[name] = s.ofType(t.Field(i).Type)
		if options != "omitempty" {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
