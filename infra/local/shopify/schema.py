"""The part of the Admin API's schema that is modelled, as its reference has it for 2026-07.

https://shopify.dev/docs/api/admin-graphql/2026-07. Names, arguments and what may be null are the
vendor's; types have fewer fields. `@idempotent` is required at run time, not by the schema, there
as here.
"""

from graphql import build_schema

VERSION = "2026-07"

SCHEMA = build_schema(
    """
    directive @idempotent(key: String!) on FIELD

    scalar Decimal
    scalar Money
    scalar URL

    type Query {
      location(id: ID): Location
      locations(first: Int): LocationConnection!
      nodes(ids: [ID!]!): [Node]!
      product(id: ID!): Product
      productByIdentifier(identifier: ProductIdentifierInput!): Product
      products(first: Int, query: String): ProductConnection!
      productVariants(first: Int, query: String): ProductVariantConnection!
    }

    type Mutation {
      productSet(
        identifier: ProductSetIdentifiers, input: ProductSetInput!, synchronous: Boolean = true
      ): ProductSetPayload
      inventoryActivate(
        inventoryItemId: ID!, locationId: ID!, available: Int, onHand: Int
      ): InventoryActivatePayload
      inventorySetQuantities(input: InventorySetQuantitiesInput!): InventorySetQuantitiesPayload
    }

    interface Node { id: ID! }

    type Location implements Node { id: ID! name: String! }
    type LocationConnection { nodes: [Location!]! }

    enum ProductStatus { ACTIVE ARCHIVED DRAFT }
    enum FileContentType { EXTERNAL_VIDEO FILE IMAGE MODEL_3D VIDEO }

    type Product implements Node {
      id: ID! handle: String! title: String! status: ProductStatus!
      variants(first: Int): ProductVariantConnection!
    }
    type ProductConnection { nodes: [Product!]! }
    type ProductVariant implements Node {
      id: ID! sku: String barcode: String product: Product! inventoryItem: InventoryItem!
    }
    type ProductVariantConnection { nodes: [ProductVariant!]! }

    type InventoryItem implements Node {
      id: ID! sku: String tracked: Boolean!
      inventoryLevel(locationId: ID!): InventoryLevel
    }
    type InventoryLevel implements Node {
      id: ID! quantities(names: [String!]!): [InventoryQuantity!]!
    }
    type InventoryQuantity { name: String! quantity: Int! }
    type InventoryAdjustmentGroup implements Node { id: ID! }

    input UniqueMetafieldValueInput { namespace: String key: String! value: String! }
    input ProductIdentifierInput { id: ID handle: String customId: UniqueMetafieldValueInput }
    input ProductSetIdentifiers { id: ID handle: String customId: UniqueMetafieldValueInput }
    input OptionValueSetInput { id: ID name: String }
    input OptionSetInput { id: ID name: String position: Int values: [OptionValueSetInput!] }
    input VariantOptionValueInput { id: ID name: String optionId: ID optionName: String }
    input InventoryItemInput {
      sku: String cost: Decimal tracked: Boolean requiresShipping: Boolean
    }
    input ProductSetInventoryInput { locationId: ID! name: String! quantity: Int! }
    input FileSetInput {
      id: ID originalSource: String contentType: FileContentType alt: String filename: String
    }
    input ProductVariantSetInput {
      id: ID sku: String barcode: String price: Money taxable: Boolean position: Int
      optionValues: [VariantOptionValueInput!]!
      inventoryItem: InventoryItemInput
      inventoryQuantities: [ProductSetInventoryInput!]
      file: FileSetInput
    }
    input ProductSetInput {
      id: ID handle: String title: String descriptionHtml: String vendor: String
      productType: String tags: [String!] status: ProductStatus
      productOptions: [OptionSetInput!]
      variants: [ProductVariantSetInput!]
      files: [FileSetInput!]
    }
    input InventoryQuantityInput {
      inventoryItemId: ID! locationId: ID! quantity: Int! changeFromQuantity: Int
    }
    input InventorySetQuantitiesInput {
      name: String! reason: String! referenceDocumentUri: String
      quantities: [InventoryQuantityInput!]!
    }

    type UserError { field: [String!] message: String! }
    type ProductSetUserError { code: String field: [String!] message: String! }
    type InventorySetQuantitiesUserError { code: String field: [String!] message: String! }
    type ProductSetPayload { product: Product userErrors: [ProductSetUserError!]! }
    type InventoryActivatePayload { inventoryLevel: InventoryLevel userErrors: [UserError!]! }
    type InventorySetQuantitiesPayload {
      inventoryAdjustmentGroup: InventoryAdjustmentGroup
      userErrors: [InventorySetQuantitiesUserError!]!
    }
    """
)
