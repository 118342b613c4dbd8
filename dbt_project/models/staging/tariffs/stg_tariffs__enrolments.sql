with source as (

    select * from {{ landing_source('tariff_enrolments') }}

),

versions as (

    select
        customer_key,
        tariff_id,
        billing_basis,
        cast(contracted_kw as double) as contracted_kw,
        valid_from as valid_from_date,
        valid_to as valid_to_date,
        known_at,
        revision,
        {{ visible_from_month_number('known_at') }} as visible_from_month_number
    from source

),

final as (

    select
        versions.*,
        {{ visible_until_month_number(['customer_key', 'valid_from_date']) }} as visible_until_month_number,
        {{ is_latest_version(['customer_key', 'valid_from_date']) }} as is_latest_version
    from versions

)

select * from final
