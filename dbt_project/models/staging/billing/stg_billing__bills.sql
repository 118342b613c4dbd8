with source as (

    select * from {{ landing_source('bills') }}

),

versions as (

    select
        bill_id,
        customer_key,
        kwh as billed_kwh,
        amount as billed_amount,
        period_start as period_start_date,
        period_end as period_end_date,
        issued_date,
        due_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at', month_number('issued_date')) }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['bill_id']) }} as visible_until_month_number,
        {{ is_latest_version(['bill_id']) }} as is_latest_version
    from versions

)

select * from final
