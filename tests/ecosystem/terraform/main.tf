# A stream as Terraform's users declare one: shards, retention, shard metrics, tags, a consumer and a policy.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "endpoint" {
  type = string
}

variable "shards" {
  type    = number
  default = 2
}

variable "retention" {
  type    = number
  default = 48
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "any"
  secret_key                  = "any"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    kinesis = var.endpoint
  }
}

resource "aws_kinesis_stream" "canal" {
  name                      = "canal"
  shard_count               = var.shards
  retention_period          = var.retention
  shard_level_metrics       = ["IncomingBytes", "OutgoingBytes"]
  enforce_consumer_deletion = true

  tags = {
    lock = "upper"
  }
}

resource "aws_kinesis_stream_consumer" "barge" {
  name       = "barge"
  stream_arn = aws_kinesis_stream.canal.arn
}

resource "aws_kinesis_resource_policy" "toll" {
  resource_arn = aws_kinesis_stream.canal.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "toll"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::111111111111:root" }
      Action    = ["kinesis:DescribeStreamSummary", "kinesis:ListShards"]
      Resource  = aws_kinesis_stream.canal.arn
    }]
  })
}

output "stream_arn" {
  value = aws_kinesis_stream.canal.arn
}
